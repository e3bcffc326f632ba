import Foundation
import Testing

@testable import Updates

/// Puts a folder somewhere temporary, as Core ML does, and counts how often.
private actor Compiler: ModelCompiler {
  struct NoMemory: Error {}

  let works: Bool
  private(set) var compiled = [URL]()

  init(works: Bool = true) {
    self.works = works
  }

  func compile(_ package: URL) async throws -> URL {
    guard works else { throw NoMemory() }
    let weights = try Data(contentsOf: package.appendingPathComponent("weights"))
    let temporary = FileManager.default.temporaryDirectory
      .appendingPathComponent("\(UUID().uuidString).mlmodelc")
    try FileManager.default.createDirectory(at: temporary, withIntermediateDirectories: true)
    try weights.write(to: temporary.appendingPathComponent("coremldata.bin"))
    compiled.append(temporary)
    return temporary
  }
}

@Suite struct InstallerTests {
  private let folder: URL
  private let choice: Choice

  init() throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    let package = folder.appendingPathComponent("lamp.mlpackage")
    try FileManager.default.createDirectory(at: package, withIntermediateDirectories: true)
    try Data("weights".utf8).write(to: package.appendingPathComponent("weights"))
    let digest = String(repeating: "0", count: 64)
    let file = ModelFile(path: "lamp.mlpackage/weights", sha256: digest, bytes: 7)
    let model = Model(
      artifact: "lamp.mlpackage", interface: digest, digest: digest, files: [file])
    choice = Choice(version: "1", variant: "main", conditions: [], model: model)
  }

  private func installer(_ compiler: Compiler, passes: Bool = true) -> CoreMLInstaller {
    CoreMLInstaller(compiler: compiler) { model, bundle in
      let weights = try Data(contentsOf: model.appendingPathComponent("coremldata.bin"))
      return passes && weights == Data("weights".utf8) && bundle.path == folder.path
    }
  }

  @Test func compiledModelIsMovedOutOfTheTemporaryPlace() async throws {
    let compiler = Compiler()
    try await installer(compiler).prepare(choice, in: folder)
    let place = CoreMLInstaller.compiled(choice, in: folder)
    #expect(place.lastPathComponent == "lamp.mlmodelc")
    #expect(place.path.hasPrefix(folder.path))
    #expect(
      FileManager.default.fileExists(atPath: place.appendingPathComponent("coremldata.bin").path))
    let temporary = await compiler.compiled[0]
    #expect(!FileManager.default.fileExists(atPath: temporary.path))
    #expect(try await installer(compiler).passes(choice, in: folder))
    #expect(try await !installer(compiler, passes: false).passes(choice, in: folder))
  }

  @Test func modelIsCompiledOnce() async throws {
    let compiler = Compiler()
    try await installer(compiler).prepare(choice, in: folder)
    try await installer(compiler).prepare(choice, in: folder)
    #expect(await compiler.compiled.count == 1)
  }

  @Test func halfMovedModelIsMovedAgain() async throws {
    let place = CoreMLInstaller.compiled(choice, in: folder)
    let aside = place.deletingLastPathComponent().appendingPathComponent("aside")
    try FileManager.default.createDirectory(at: aside, withIntermediateDirectories: true)
    let compiler = Compiler()
    try await installer(compiler).prepare(choice, in: folder)
    #expect(try await installer(compiler).passes(choice, in: folder))
    #expect(!FileManager.default.fileExists(atPath: aside.path))
  }

  @Test func modelThatDoesNotCompileLeavesNothing() async throws {
    await #expect(throws: Compiler.NoMemory.self) {
      try await installer(Compiler(works: false)).prepare(choice, in: folder)
    }
    let place = CoreMLInstaller.compiled(choice, in: folder)
    #expect(!FileManager.default.fileExists(atPath: place.path))
  }
}
