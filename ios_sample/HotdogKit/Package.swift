// swift-tools-version: 6.0
import PackageDescription

let package = Package(
  name: "HotdogKit",
  platforms: [.iOS(.v17), .macOS(.v14)],
  products: [.library(name: "HotdogKit", targets: ["HotdogKit"])],
  dependencies: [.package(path: "../Updates")],
  targets: [
    .target(name: "HotdogKit", dependencies: ["Updates"]),
    .testTarget(name: "HotdogKitTests", dependencies: ["HotdogKit"]),
  ]
)
