import Foundation
import HotdogKit
import MLCBindings

/// Runs the model, one picture at a time and off the main thread.
///
/// State: the model in use, whose one Vision request serves every picture.
actor Recognizer {
  private var loaded: LoadedModel?
  /// Set until a downloaded model has made its first prediction.
  private var trial: PredictionMark?

  func load(_ place: ModelPlace, mark: PredictionMark) throws {
    loaded = try LoadedModel(place)
    trial = place == .insideTheApp ? nil : mark
  }

  func answer(_ pixels: Pixels) throws -> Answer {
    let loaded = try current()
    guard let mark = trial else { return try loaded.answer(pixels) }
    let answer = try mark.during { try loaded.answer(pixels) }
    trial = nil
    return answer
  }

  func selfTest() throws -> [CaseResult] {
    try current().selfTest()
  }

  private func current() throws -> LoadedModel {
    guard let loaded else { throw ModelError("The model is not loaded yet.") }
    return loaded
  }
}
