import Foundation
import HotdogKit
import MLCBindings
import Network
import UIKit
import Updates

/// The channel that Info.plist names, for this device.
struct ModelChannel: Sendable {
  let updates: Updates
  private let installer: CoreMLInstaller

  static var home: URL {
    FileManager.default.urls(for: .applicationSupportDirectory, in: .userDomainMask)[0]
      .appendingPathComponent("Models")
  }

  /// Nil where the app has no channel; throws where it is written wrong.
  init?() throws {
    let about = BundledModel.description
    let plist = Bundle.main.infoDictionary ?? [:]
    guard
      let channel = try Channel.configured(in: plist, name: about.name, bundled: about.version)
    else { return nil }
    let system = ProcessInfo.processInfo.operatingSystemVersion
    let device = Device(
      app: plist["CFBundleShortVersionString"] as? String ?? "",
      os: "\(system.majorVersion).\(system.minorVersion).\(system.patchVersion)",
      user: Self.user(), interface: about.interfaceDigest)
    updates = Updates(
      channel: channel, device: device, folder: Self.home, cryptography: AppleCryptography())
    installer = CoreMLInstaller(compiler: CoreMLCompiler()) { compiled, bundle in
      try LoadedModel(compiled: compiled, bundle: bundle).passes()
    }
  }

  /// Ask the channel once. The compiled model is moved to where it stays before it is tested.
  func check() async -> Outcome {
    await updates.check(conditions: await Self.conditions(), installer: installer)
  }

  /// Compile a downloaded model again, should the compiled one have gone.
  func prepare(_ place: ModelPlace) async throws {
    if case .downloaded(let choice, let folder) = place {
      try await installer.prepare(choice, in: folder)
    }
  }

  /// A random number, for rollouts and variants; it does not leave the device.
  private static func user() -> String {
    if let known = UserDefaults.standard.string(forKey: "user") { return known }
    let new = UUID().uuidString
    UserDefaults.standard.set(new, forKey: "user")
    return new
  }

  @MainActor
  private static func conditions() async -> Set<String> {
    UIDevice.current.isBatteryMonitoringEnabled = true
    let battery = UIDevice.current.batteryState
    let path = await NWPathMonitor().first { _ in true }
    return HotdogKit.conditions(
      isWiFi: path?.usesInterfaceType(.wifi) ?? false, isExpensive: path?.isExpensive ?? true,
      isCharging: battery == .charging || battery == .full)
  }
}
