import Foundation
import Testing

@testable import HotdogKit

@Suite struct WordingTests {
  private let english = Locale(identifier: "en_US")

  @Test(arguments: zip([0, 0.9824, 1] as [Float], ["0.0%", "98.2%", "100.0%"]))
  func probabilities(probability: Float, text: String) {
    #expect(percent(probability, locale: english) == text)
  }

  @Test func languagesDiffer() {
    #expect(percent(0.5, locale: Locale(identifier: "de_DE")).hasPrefix("50,0"))
  }

  @Test func durations() {
    #expect(milliseconds(.microseconds(23_440), locale: english) == "23.4 ms")
    #expect(milliseconds(.seconds(2), locale: english) == "2,000.0 ms")
  }

  @Test func sharing() {
    #expect(shareText(.notHotdog, probability: 0.75, locale: english) == "Not hotdog (75.0%)")
  }
}
