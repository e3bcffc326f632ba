// swift-tools-version: 6.0
import PackageDescription

let package = Package(
  name: "Driver",
  dependencies: [.package(path: "../../../ios_sample/Updates")],
  targets: [
    .executableTarget(
      name: "Driver", dependencies: [.product(name: "Updates", package: "Updates")])
  ]
)
