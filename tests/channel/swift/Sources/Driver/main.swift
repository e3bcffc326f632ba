/// The Swift client behind the protocol of tests/channel/driver.py.

import Foundation
import Updates

struct Ask: Decodable {
  struct DeviceFields: Decodable {
    let platform, target, app, os, user: String
    let interface: String?
  }

  let `do`: String
  let channel, purpose, user, version, bound: String?
  let key, signature, data: String?
  let device: DeviceFields?
  let url, name, bundled, folder: String?
  let keys, conditions: [String]?
  let timeout: Double?
  let selfTest: String?

  private enum CodingKeys: String, CodingKey {
    case `do`, channel, purpose, user, version, bound, key, signature, data, device, url, name
    case bundled, folder, keys, conditions, timeout
    case selfTest = "self_test"
  }
}

/// Does with a model what the test says.
struct Obedient: Installer {
  let how: String

  func prepare(_ choice: Choice, in folder: URL) async throws {}

  func passes(_ choice: Choice, in folder: URL) async throws -> Bool {
    if how == "exit" { exit(3) }
    if how == "throw" { throw CocoaError(.featureUnsupported) }
    return how == "pass"
  }
}

let cryptography = OpenSSL()

func device(_ ask: Ask) -> Device {
  let fields = ask.device!
  return Device(
    platform: fields.platform, target: fields.target, app: fields.app, os: fields.os,
    user: fields.user, interface: fields.interface)
}

func answer(_ ask: Ask, _ line: Data) async throws -> [String: (any Sendable)?] {
  switch ask.do {
  case "bucket":
    return ["bucket": bucket(ask.channel!, ask.purpose!, ask.user!, cryptography)]
  case "at_least":
    return ["at_least": isAtLeast(ask.version!, ask.bound!)]
  case "verifies":
    let (key, signature, data) = (ask.key!, ask.signature!, ask.data!)
    let verified = cryptography.isSigned(
      Data(base64Encoded: data)!, signature: Data(base64Encoded: signature)!,
      key: Data(base64Encoded: key)!)
    return ["verifies": verified]
  case "choose":
    struct Document: Decodable { let models: Models }
    let models = try JSONDecoder().decode(Document.self, from: line).models
    let found = models.choose(for: device(ask), cryptography)
    return [
      "version": found?.version, "variant": found?.variant, "digest": found?.model.digest,
    ]
  default:
    return try await onDevice(ask)
  }
}

func onDevice(_ ask: Ask) async throws -> [String: (any Sendable)?] {
  let channel = Channel(
    url: URL(string: ask.url!)!, name: ask.name!, keys: ask.keys!, bundled: ask.bundled!,
    patience: ask.timeout!)
  let updates = Updates(
    channel: channel, device: device(ask), folder: URL(fileURLWithPath: ask.folder!),
    cryptography: cryptography)
  var result = [String: (any Sendable)?]()
  if ask.do == "check" {
    let outcome = await updates.check(
      conditions: Set(ask.conditions!), installer: Obedient(how: ask.selfTest!))
    switch outcome {
    case .updated(let version): result = ["kind": "updated", "version": version, "reason": ""]
    case .current(let version): result = ["kind": "current", "version": version, "reason": ""]
    case .waiting(let version, let condition):
      result = ["kind": "waiting", "version": version, "reason": condition]
    case .failed(let version, let reason, let detail):
      result = ["kind": "failed", "version": version, "reason": reason.rawValue]
      result["detail"] = detail
    }
  } else if ask.do == "fall_back" {
    try await updates.fallBack()
  }
  let active = await updates.active()
  result.updateValue(active?.version, forKey: "active")
  result.updateValue(active.map { updates.folder(of: $0).path }, forKey: "folder")
  return result
}

while let line = readLine() {
  let data = Data(line.utf8)
  let told = try await answer(try JSONDecoder().decode(Ask.self, from: data), data)
  let json = told.mapValues { $0 ?? NSNull() }
  let bytes = try JSONSerialization.data(withJSONObject: json)
  FileHandle.standardOutput.write(bytes + Data("\n".utf8))
}
