import Foundation

/// What an app does with a model that was downloaded and is not yet in use.
public protocol Installer: Sendable {
  /// Make it ready to load, in `folder`, where its files are: they must not change.
  func prepare(_ choice: Choice, in folder: URL) async throws

  /// Run its golden cases; false or an error keeps it out.
  func passes(_ choice: Choice, in folder: URL) async throws -> Bool
}

/// Compiles a model somewhere temporary, and returns where.
public protocol ModelCompiler: Sendable {
  func compile(_ package: URL) async throws -> URL
}

/// Compiles Core ML packages, and runs the golden cases with what came out.
public struct CoreMLInstaller: Installer {
  private let compiler: any ModelCompiler
  private let selfTest: @Sendable (_ model: URL, _ bundle: URL) async throws -> Bool

  /// - Parameter selfTest: is given the compiled model and the folder with `manifest.json` and `golden/`.
  public init(
    compiler: any ModelCompiler,
    selfTest: @escaping @Sendable (_ model: URL, _ bundle: URL) async throws -> Bool
  ) {
    self.compiler = compiler
    self.selfTest = selfTest
  }

  /// Where the compiled model is: what an app loads.
  public static func compiled(_ choice: Choice, in folder: URL) -> URL {
    let name = URL(fileURLWithPath: choice.model.artifact).deletingPathExtension().lastPathComponent
    return folder.appendingPathComponent("compiled/\(name).mlmodelc")
  }

  /// `MLModel.compileModel(at:)` leaves its result where the system may remove it at any time.
  public func prepare(_ choice: Choice, in folder: URL) async throws {
    let place = Self.compiled(choice, in: folder)
    if FileManager.default.fileExists(atPath: place.path) { return }
    let temporary = try await compiler.compile(folder.appendingPathComponent(choice.model.artifact))
    defer { try? FileManager.default.removeItem(at: temporary) }
    let parent = place.deletingLastPathComponent()
    try FileManager.default.createDirectory(at: parent, withIntermediateDirectories: true)
    // Another volume means a copy, and a copy takes time: only a rename puts it in place.
    let aside = parent.appendingPathComponent("aside")
    try? FileManager.default.removeItem(at: aside)
    try FileManager.default.moveItem(at: temporary, to: aside)
    try FileManager.default.moveItem(at: aside, to: place)
  }

  public func passes(_ choice: Choice, in folder: URL) async throws -> Bool {
    try await selfTest(Self.compiled(choice, in: folder), folder)
  }
}

#if canImport(CoreML)
  import CoreML

  /// Core ML's own.
  public struct CoreMLCompiler: ModelCompiler {
    public init() {}

    public func compile(_ package: URL) async throws -> URL {
      try await MLModel.compileModel(at: package)
    }
  }
#endif
