import Foundation

/// A file that is there while a downloaded model makes its first prediction.
///
/// Found at the start of the app, it says that the model took the app down: a self-test cannot.
public struct PredictionMark: Sendable {
  private let file: URL

  public init(file: URL) {
    self.file = file
  }

  public var isLeft: Bool { FileManager.default.fileExists(atPath: file.path) }

  /// Run a prediction under the mark; an error is no crash, and takes the mark away too.
  public func during<Result>(_ predict: () throws -> Result) throws -> Result {
    try FileManager.default.createDirectory(
      at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data().write(to: file)
    defer { remove() }
    return try predict()
  }

  public func remove() {
    try? FileManager.default.removeItem(at: file)
  }
}
