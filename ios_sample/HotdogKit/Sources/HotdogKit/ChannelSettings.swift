import Foundation
import Updates

/// Why the channel of an Info.plist cannot be used.
public struct ChannelSettingsError: Error, CustomStringConvertible, Equatable {
  public let description: String
}

extension Channel {
  /// The channel in an Info.plist, `ModelChannel` with `URL` and `Keys`; nil where its URL is empty.
  ///
  /// - Parameters:
  ///   - name: the model's.
  ///   - bundled: version of the model inside the app.
  public static func configured(
    in plist: [String: Any], name: String, bundled: String
  ) throws -> Channel? {
    let settings = plist["ModelChannel"] as? [String: Any] ?? [:]
    let address = settings["URL"] as? String ?? ""
    if address.isEmpty { return nil }
    guard let url = URL(string: address), url.scheme == "https", url.host()?.isEmpty == false else {
      throw ChannelSettingsError(description: "ModelChannel's URL \(address) is no https address.")
    }
    let keys = settings["Keys"] as? [String] ?? []
    guard !keys.isEmpty, keys.allSatisfy({ Data(base64Encoded: $0)?.count == 32 }) else {
      throw ChannelSettingsError(
        description: "ModelChannel's Keys must be what `mlc channel keygen` printed.")
    }
    return Channel(url: url, name: name, keys: keys, bundled: bundled)
  }
}

/// The conditions of releases that hold on a device.
public func conditions(isWiFi: Bool, isExpensive: Bool, isCharging: Bool) -> Set<String> {
  var holding = Set<String>()
  if isWiFi && !isExpensive { holding.insert("wifi") }
  if isCharging { holding.insert("charging") }
  return holding
}

extension Outcome {
  /// Whether another model than before is to be loaded.
  public var changesModel: Bool {
    if case .updated = self { true } else { false }
  }

  /// For people.
  public var text: String {
    switch self {
    case .updated(let version):
      "\(name(version)) is in use now."
    case .current(let version):
      "\(name(version)) is up to date."
    case .waiting(_, let condition):
      "A new version waits for \(condition == "wifi" ? "Wi-Fi" : condition)."
    case .failed(let version, let reason, let detail):
      "Nothing changed (\(reason.rawValue)): \(detail) \(name(version)) stays in use."
    }
  }

  private func name(_ version: String?) -> String {
    version.map { "Version \($0)" } ?? "The model inside the app"
  }
}
