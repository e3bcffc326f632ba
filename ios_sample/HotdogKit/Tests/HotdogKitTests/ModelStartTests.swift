import Foundation
import Testing

@testable import HotdogKit
@testable import Updates

/// A device with downloaded models, the newest first, of which some do not load.
private actor Device: DownloadedModels {
  private var versions: [String]
  private let writes: Bool
  private(set) var fallBacks = 0

  init(_ versions: [String], writes: Bool = true) {
    self.versions = versions
    self.writes = writes
  }

  func active() -> Choice? {
    versions.first.map { version in
      let model = Model(artifact: "m", interface: version, digest: version, files: [])
      return Choice(version: version, variant: "main", conditions: [], model: model)
    }
  }

  func fallBack() throws {
    fallBacks += 1
    if !writes { throw CocoaError(.fileWriteOutOfSpace) }
    if !versions.isEmpty { versions.removeFirst() }
  }

  nonisolated func folder(of choice: Choice) -> URL { URL(fileURLWithPath: "/\(choice.version)") }
}

private struct Broken: Error {}

@Suite struct ModelStartTests {
  private let mark: PredictionMark
  private let file: URL

  init() {
    file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID())/predicting")
    mark = PredictionMark(file: file)
  }

  /// The version that is in use after the start; nil is the model inside the app.
  private func start(
    _ device: Device?, broken: Set<String> = []
  ) async throws -> (String?, [String]) {
    let started = try await startModel(device, mark: mark) { place in
      if case .downloaded(let choice, let folder) = place {
        #expect(folder.path == "/\(choice.version)")
        if broken.contains(choice.version) { throw Broken() }
      }
    }
    guard case .downloaded(let choice, _) = started.place else { return (nil, started.problems) }
    return (choice.version, started.problems)
  }

  @Test func newestThatIsThere() async throws {
    let (version, problems) = try await start(Device(["3", "2"]))
    #expect(version == "3")
    #expect(problems.isEmpty)
  }

  @Test func insideTheAppWithoutChannelOrDownload() async throws {
    #expect(try await start(nil).0 == nil)
    #expect(try await start(Device([])).0 == nil)
  }

  @Test func oneThatDoesNotLoadIsLeftBehind() async throws {
    let device = Device(["3", "2"])
    let (version, problems) = try await start(device, broken: ["3"])
    #expect(version == "2")
    #expect(problems == ["Version 3 does not load: Broken()"])
    #expect(await device.fallBacks == 1)
  }

  @Test func insideTheAppWhenNoneLoads() async throws {
    let (version, problems) = try await start(Device(["3", "2"]), broken: ["3", "2"])
    #expect(version == nil)
    #expect(problems.count == 2)
  }

  @Test func fullDiskDoesNotKeepTheAppFromStarting() async throws {
    let device = Device(["3"], writes: false)
    #expect(try await start(device, broken: ["3"]).0 == nil)
    #expect(await device.fallBacks == 1)
  }

  @Test func insideTheAppIsTheLastResort() async {
    await #expect(throws: Broken.self) {
      _ = try await startModel(nil, mark: mark) { _ in throw Broken() }
    }
  }

  @Test func predictionThatEndedTheAppIsNotTriedAgain() async throws {
    // What a crash leaves behind.
    try FileManager.default.createDirectory(
      at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data().write(to: file)
    let (version, problems) = try await start(Device(["3", "2"]))
    #expect(version == "2")
    #expect(problems.count == 1)
    #expect(!mark.isLeft)
  }

  @Test func markIsThereDuringAPredictionOnly() throws {
    #expect(!mark.isLeft)
    #expect(try mark.during { mark.isLeft })
    #expect(!mark.isLeft)
    #expect(throws: Broken.self) { try mark.during { throw Broken() } }
    #expect(!mark.isLeft)
  }
}
