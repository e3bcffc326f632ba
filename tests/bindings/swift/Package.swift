// swift-tools-version: 6.0
import PackageDescription

let package = Package(
  name: "Exam",
  dependencies: [.package(name: "MLCBindings", path: "../swift")],
  targets: [.executableTarget(name: "Exam", dependencies: ["MLCBindings"])]
)
