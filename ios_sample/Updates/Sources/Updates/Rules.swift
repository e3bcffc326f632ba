import Foundation

// What a device runs: the document of a channel and the pure rules over it. The same in every client;
// docs/channel.md of mlc explains them, docs/channel_vectors.json tests them.

/// One file of a model: where it belongs in the bundle, and what its bytes are.
public struct ModelFile: Codable, Equatable, Sendable {
  public let path: String
  public let sha256: String
  public let bytes: Int64
}

/// What one target downloads. `digest` names it; `interface` is that of code generated for it.
public struct Model: Codable, Equatable, Sendable {
  public let artifact: String
  public let interface: String
  public let digest: String
  public let files: [ModelFile]
}

/// The model for a device, and of which release and variant it is.
public struct Choice: Codable, Equatable, Sendable {
  public let version: String
  public let variant: String
  public let conditions: [String]
  public let model: Model
}

/// What the rules may ask.
public struct Device: Sendable {
  public let platform: String
  public let target: String
  public let app: String
  public let os: String
  /// Stays the same on this device: a random number made at the first start.
  public let user: String
  /// That of the app's generated code; nil takes any.
  public let interface: String?

  public init(
    platform: String = "ios", target: String = "coreml", app: String, os: String, user: String,
    interface: String?
  ) {
    self.platform = platform
    self.target = target
    self.app = app
    self.os = os
    self.user = user
    self.interface = interface
  }
}

/// The name of the only variant of a release.
let main = "main"

private let buckets = 10_000

/// models.json; releases stand newest first.
public struct Models: Decodable, Sendable {
  struct Variant: Decodable, Sendable {
    let name: String
    /// Of the 10000 buckets.
    let share: Int
    let targets: [String: Model]
  }

  struct Release: Decodable, Sendable {
    let version: String
    let withdrawn: Bool
    let rollout: Int
    let minimumApp: [String: String]
    let belowApp: [String: String]
    let minimumOs: [String: String]
    let conditions: [String]
    let variants: [Variant]

    private enum CodingKeys: String, CodingKey {
      case version, withdrawn, rollout, conditions, variants
      case minimumApp = "minimum_app"
      case belowApp = "below_app"
      case minimumOs = "minimum_os"
    }
  }

  public let name: String
  public let sequence: Int64
  public let expires: String?
  let releases: [Release]

  private enum CodingKeys: String, CodingKey { case format, name, sequence, expires, releases }

  public init(from decoder: any Decoder) throws {
    let json = try decoder.container(keyedBy: CodingKeys.self)
    try require(try json.decode(Int.self, forKey: .format) == 1, "format")
    name = try json.decode(String.self, forKey: .name)
    sequence = try json.decode(Int64.self, forKey: .sequence)
    expires =
      try json.decodeNil(forKey: .expires) ? nil : json.decode(String.self, forKey: .expires)
    releases = try json.decode([Release].self, forKey: .releases)
    try require(name.isName && sequence > 0 && !releases.isEmpty, "top")
    try require(expires?.matches("[0-9]{4}-[0-9]{2}-[0-9]{2}") != false, "expires")
    for release in releases { try release.validate() }
  }

  /// The first release that is for the device; nil means the model inside the app.
  public func choose(for device: Device, _ cryptography: any Cryptography) -> Choice? {
    let rollout = bucket(name, "rollout", device.user, cryptography)
    let place = bucket(name, "variant", device.user, cryptography)
    for release in releases {
      guard let variant = release.variant(at: place), let model = variant.targets[device.target]
      else { continue }
      let fits = device.interface == nil || device.interface == model.interface
      if !release.withdrawn && release.admits(device) && rollout < release.rollout && fits {
        return Choice(
          version: release.version, variant: variant.name, conditions: release.conditions,
          model: model)
      }
    }
    return nil
  }
}

/// Where a user stands, 0 to 9999: SHA-256 of `channel:purpose:user`, first four bytes, modulo 10000.
public func bucket(
  _ channel: String, _ purpose: String, _ user: String, _ cryptography: any Cryptography
) -> Int {
  let digest = cryptography.sha256(Data("\(channel):\(purpose):\(user)".utf8))
  return digest.prefix(4).reduce(0) { $0 << 8 | Int($1) } % buckets
}

/// Whether `version` is `bound` or newer, number by number; what follows the leading numbers is ignored.
public func isAtLeast(_ version: String, _ bound: String) -> Bool {
  let (ours, theirs) = (numbers(version), numbers(bound))
  for index in 0..<max(ours.count, theirs.count) {
    let our = index < ours.count ? ours[index] : 0
    let their = index < theirs.count ? theirs[index] : 0
    if our != their { return our > their }
  }
  return true
}

private func numbers(_ version: String) -> [Int64] {
  version.prefix { "0"..."9" ~= $0 || $0 == "." }
    .split(separator: ".", omittingEmptySubsequences: false)
    .map { Int64($0) ?? 0 }
}

extension Models.Release {
  fileprivate func admits(_ device: Device) -> Bool {
    if let oldest = minimumApp[device.platform], !isAtLeast(device.app, oldest) { return false }
    if let tooNew = belowApp[device.platform], isAtLeast(device.app, tooNew) { return false }
    if let oldest = minimumOs[device.platform], !isAtLeast(device.os, oldest) { return false }
    return true
  }

  /// The shares lie end to end in the order of the document.
  fileprivate func variant(at place: Int) -> Models.Variant? {
    var end = 0
    return variants.first { variant in
      end += variant.share
      return place < end
    }
  }

  fileprivate func validate() throws {
    let shares = [rollout] + variants.map(\.share)
    try require(shares.allSatisfy { 0...buckets ~= $0 }, "shares")
    try require(([version] + conditions + variants.map(\.name)).allSatisfy(\.isName), "names")
    let bounds = [minimumApp, belowApp, minimumOs].flatMap(\.values)
    try require(bounds.allSatisfy { $0.matches(#"[0-9]+(\.[0-9]+)*"#) }, "versions")
    try require(!variants.isEmpty, "variants")
    try require(variants.flatMap(\.targets.values).allSatisfy(\.isValid), "models")
  }
}

extension Model {
  var isValid: Bool {
    ([interface, digest] + files.map(\.sha256)).allSatisfy(\.isSHA256)
      && ([artifact] + files.map(\.path)).allSatisfy(\.isPath)
      && !files.isEmpty && files.allSatisfy { $0.bytes >= 0 }
  }
}

struct NotValid: Error {
  let place: String
}

private func require(_ holds: Bool, _ place: String) throws {
  if !holds { throw NotValid(place: place) }
}

extension String {
  fileprivate var isName: Bool { matches("[A-Za-z0-9][A-Za-z0-9._+-]{0,99}") }
  fileprivate var isSHA256: Bool { matches("[0-9a-f]{64}") }

  /// Relative, and no part of it is empty or starts with a dot.
  fileprivate var isPath: Bool {
    split(separator: "/", omittingEmptySubsequences: false).allSatisfy { part in
      !part.isEmpty && part.first != "."
        && part.unicodeScalars.allSatisfy { $0 != "\\" && $0.value >= 0x20 }
    }
  }

  fileprivate func matches(_ pattern: String) -> Bool {
    range(of: "\\A(?:\(pattern))\\z", options: .regularExpression) != nil
  }
}
