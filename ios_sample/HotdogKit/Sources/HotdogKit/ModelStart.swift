import Foundation
import Updates

/// What is needed of `Updates` to start with the right model.
public protocol DownloadedModels: Sendable {
  func active() async -> Choice?
  func fallBack() async throws
  func folder(of choice: Choice) -> URL
}

extension Updates: DownloadedModels {}

/// Where a model comes from.
public enum ModelPlace: Equatable, Sendable {
  case insideTheApp
  case downloaded(Choice, folder: URL)
}

/// How the start went: which model it was, and why it was not another one.
public struct ModelStart: Sendable {
  public let place: ModelPlace
  /// For people; empty where all went well.
  public let problems: [String]
}

/// Load the model that the channel gave; on any failure the one before it, and at last the one inside the app.
///
/// A model that does not load, or whose first prediction ended the app, is not taken again. Throws only what
/// loading the model inside the app throws.
public func startModel(
  _ downloads: (any DownloadedModels)?, mark: PredictionMark,
  load: @Sendable (ModelPlace) async throws -> Void
) async throws -> ModelStart {
  var problems = [String]()
  if let downloads {
    if mark.isLeft {
      problems.append("A prediction ended the app: its model is not taken again.")
      guard await fallBack(downloads, &problems) else { return try await loadInside() }
      mark.remove()
    }
    while let choice = await downloads.active() {
      let place = ModelPlace.downloaded(choice, folder: downloads.folder(of: choice))
      do {
        try await load(place)
        return ModelStart(place: place, problems: problems)
      } catch {
        problems.append("Version \(choice.version) does not load: \(error)")
      }
      guard await fallBack(downloads, &problems) else { break }
    }
  }
  return try await loadInside()

  func loadInside() async throws -> ModelStart {
    try await load(.insideTheApp)
    return ModelStart(place: .insideTheApp, problems: problems)
  }
}

/// Whether it could be noted; else trying again would find the same model.
private func fallBack(_ downloads: any DownloadedModels, _ problems: inout [String]) async -> Bool {
  do {
    try await downloads.fallBack()
    return true
  } catch {
    problems.append("This could not be noted: \(error)")
    return false
  }
}
