import Foundation
import Testing
import Updates

@testable import HotdogKit

@Suite struct ChannelSettingsTests {
  private static let key = Data(repeating: 7, count: 32).base64EncodedString()

  private func channel(_ url: String, _ keys: [String]) throws -> Channel? {
    let plist: [String: Any] = ["ModelChannel": ["URL": url, "Keys": keys]]
    return try Channel.configured(in: plist, name: "lamp", bundled: "1")
  }

  @Test func whatIsWrittenThere() throws {
    let channel = try #require(try channel("https://models.example/lamp", [Self.key]))
    #expect(channel.url.absoluteString == "https://models.example/lamp")
    #expect(channel.keys == [Self.key])
    #expect(channel.name == "lamp")
    #expect(channel.bundled == "1")
  }

  @Test func appsNeedNone() throws {
    #expect(try channel("", []) == nil)
    #expect(try Channel.configured(in: [:], name: "lamp", bundled: "1") == nil)
  }

  @Test(arguments: [
    ("http://models.example", [key]), ("models.example", [key]), ("https://", [key]),
    ("https://models.example", []), ("https://models.example", ["short"]),
  ])
  func wrongOnesAreNotPassedOver(url: String, keys: [String]) {
    #expect(throws: ChannelSettingsError.self) { try channel(url, keys) }
  }

  @Test func conditionsThatHold() {
    #expect(conditions(isWiFi: true, isExpensive: false, isCharging: true) == ["wifi", "charging"])
    #expect(conditions(isWiFi: true, isExpensive: true, isCharging: false) == [])  // a hotspot
    #expect(conditions(isWiFi: false, isExpensive: false, isCharging: true) == ["charging"])
  }

  @Test(arguments: [
    (Outcome.updated(version: "2"), true, "Version 2 is in use now."),
    (.updated(version: nil), true, "The model inside the app is in use now."),
    (.current(version: "2"), false, "Version 2 is up to date."),
    (.waiting(version: nil, condition: "wifi"), false, "A new version waits for Wi-Fi."),
    (
      .failed(version: "1", reason: .selfTest, detail: "It differs."), false,
      "Nothing changed (self-test): It differs. Version 1 stays in use."
    ),
  ])
  func outcomes(outcome: Outcome, changes: Bool, text: String) {
    #expect(outcome.changesModel == changes)
    #expect(outcome.text == text)
  }
}
