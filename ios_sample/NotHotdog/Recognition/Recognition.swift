import Foundation
import HotdogKit
import MLCBindings
import Observation
import Updates

/// The model in use, as the views see it.
@MainActor
@Observable
final class Recognition {
  enum State: Equatable {
    case loading
    case ready
    case failed(String)
  }

  private(set) var state = State.loading
  private(set) var version = BundledModel.description.version
  private(set) var isDownloaded = false
  /// Why the model is not another one; for people.
  private(set) var problems = [String]()

  private let recognizer = Recognizer()
  private let channel: ModelChannel?

  init() {
    do {
      channel = try ModelChannel()
    } catch {
      channel = nil
      problems = ["\(error)"]
    }
  }

  var name: String { BundledModel.description.name }
  var hasChannel: Bool { channel != nil }

  /// Load the downloaded model, and on any failure the one inside the app.
  func start() async {
    let (recognizer, channel) = (recognizer, channel)
    let mark = PredictionMark(file: ModelChannel.home.appendingPathComponent("predicting"))
    do {
      let started = try await startModel(channel?.updates, mark: mark) { place in
        try await channel?.prepare(place)
        try await recognizer.load(place, mark: mark)
      }
      problems += started.problems
      if case .downloaded(let choice, _) = started.place {
        (version, isDownloaded) = (choice.version, true)
      } else {
        (version, isDownloaded) = (BundledModel.description.version, false)
      }
      state = .ready
    } catch {
      state = .failed("\(error)")
    }
  }

  func answer(to pixels: Pixels) async throws -> Answer {
    try await recognizer.answer(pixels)
  }

  func selfTest() async throws -> [CaseResult] {
    try await recognizer.selfTest()
  }

  /// How it ended, for people. A new model was verified and passed its self-test before it is loaded.
  func checkForUpdate() async -> String? {
    guard let outcome = await channel?.check() else { return nil }
    if outcome.changesModel { await start() }
    return outcome.text
  }
}
