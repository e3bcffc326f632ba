// swift-tools-version: 6.0
import PackageDescription

let package = Package(
  name: "MLCBindings",
  platforms: [.iOS(.v16), .macOS(.v13)],
  products: [.library(name: "MLCBindings", targets: ["MLCBindings"])],
  targets: [.target(name: "MLCBindings")]
)
