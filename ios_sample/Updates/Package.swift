// swift-tools-version: 6.0
import PackageDescription

let package = Package(
  name: "Updates",
  platforms: [.iOS(.v16), .macOS(.v13)],
  products: [.library(name: "Updates", targets: ["Updates"])],
  targets: [
    .target(name: "Updates"),
    .testTarget(name: "UpdatesTests", dependencies: ["Updates"]),
  ]
)
