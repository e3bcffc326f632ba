import Foundation

#if canImport(FoundationNetworking)
  import FoundationNetworking
#endif

/// What an app has built in: where its channel is, what it is called, whose signature counts.
public struct Channel: Sendable {
  public let url: URL
  public let name: String
  /// Public keys, base64, as `mlc channel keygen` prints them; any one of them is enough.
  public let keys: [String]
  /// Version of the model inside the app: it is never downloaded.
  public let bundled: String
  /// Seconds without a byte after which a host counts as not there.
  public let patience: TimeInterval

  public init(
    url: URL, name: String, keys: [String], bundled: String, patience: TimeInterval = 30
  ) {
    self.url = url
    self.name = name
    self.keys = keys
    self.bundled = bundled
    self.patience = patience
  }
}

/// Why a check changed nothing.
public enum Reason: String, Sendable {
  case network, signature, document, replay, expired, download, storage, rejected
  case selfTest = "self-test"
}

/// How a check ended. `version` is what the device runs from now on; nil is the model inside the app.
public enum Outcome: Equatable, Sendable {
  case updated(version: String?)
  case current(version: String?)
  /// There is a release, and a condition for its download does not hold.
  case waiting(version: String?, condition: String)
  case failed(version: String?, reason: Reason, detail: String)
}

struct Stop: Error {
  let reason: Reason
  let detail: String

  init(_ reason: Reason, _ detail: String) {
    self.reason = reason
    self.detail = detail
  }
}

/// Over-the-air updates: keeps this device's model as its channel says, and changes nothing when anything is
/// wrong. The steps are those of docs/channel.md of mlc. No dependencies.
///
/// State: a folder that nobody else writes to, such as one in Application Support.
public actor Updates {
  /// All that is remembered, in one file that is replaced in one step.
  private struct State: Codable, Equatable {
    var sequence: Int64 = 0
    var etag: String?
    var document: String?
    var signature: String?
    var current: Choice?
    var previous: Choice?
    var rejected: String?
  }

  private static let mostDocument: Int64 = 1 << 20
  private static let signatureBytes: Int64 = 64

  private let channel: Channel
  private let device: Device
  private let home: URL
  private let cryptography: any Cryptography
  private var checking: Task<Outcome, Never>?

  public init(channel: Channel, device: Device, folder: URL, cryptography: any Cryptography) {
    self.channel = channel
    self.device = device
    self.home = folder
    self.cryptography = cryptography
  }

  /// The downloaded model to run; nil is the one inside the app.
  ///
  /// The files are hashed again, and the interface compared with the app's, which may be newer: where the
  /// current model is not usable, the previous one is taken, and then the one inside the app.
  public func active() -> Choice? {
    let state = load()
    guard let current = state.current else { return nil }
    return [current, state.previous].compactMap { $0 }.first(where: isUsable)
  }

  /// Where the files of a downloaded model are.
  public nonisolated func folder(of choice: Choice) -> URL {
    home.appendingPathComponent("models/\(choice.model.digest)")
  }

  /// The active model does not work here: go back to the one before it, and do not take it again.
  public func fallBack() throws {
    guard let bad = active() else { return }
    var state = load()
    state.rejected = bad.model.digest
    if bad == state.current { state.current = state.previous }
    state.previous = nil
    try save(state)
  }

  /// Ask the channel once; `conditions` are those that hold now, such as `wifi`. Never throws.
  public func check(conditions: Set<String> = [], installer: any Installer) async -> Outcome {
    if let checking { return await checking.value }
    let task = Task { await checkOnce(conditions, installer) }
    checking = task
    defer { checking = nil }
    return await task.value
  }

  private func checkOnce(_ conditions: Set<String>, _ installer: any Installer) async -> Outcome {
    let active = active()
    do {
      let offer = offer(try await fetch())
      guard let wanted = offer, wanted.model.digest != active?.model.digest else {
        return try settle(offer, active)
      }
      if wanted.model.digest == load().rejected {
        throw Stop(.rejected, "Version \(wanted.version) failed here before.")
      }
      let missing = try missing(wanted)
      if let unmet = wanted.conditions.first(where: { !conditions.contains($0) }), !missing.isEmpty
      {
        return .waiting(version: active?.version, condition: unmet)
      }
      try await install(wanted, missing, installer)
      return .updated(version: wanted.version)
    } catch let stop as Stop {
      return .failed(version: active?.version, reason: stop.reason, detail: stop.detail)
    } catch {
      // Of the storage: errors of the network are caught where they happen.
      return .failed(version: active?.version, reason: .storage, detail: "\(error)")
    }
  }

  /// The document, if it is signed, ours, and not older than what was seen.
  private func fetch() async throws -> Models {
    let state = load()
    let known = known(state)
    let answer = try await get(
      "models.json", most: Self.mostDocument, etag: known == nil ? nil : state.etag)
    let data: Data
    let signature: Data
    if let answer {
      data = answer.body
      let path = "signatures/\(cryptography.sha256(data).hex)"
      signature = try await file(path, most: Self.signatureBytes)
    } else {
      (data, signature) = known!
    }
    guard isSigned(data, signature) else {
      throw Stop(.signature, "models.json is not signed by a key that this app trusts.")
    }
    let models: Models
    do {
      models = try JSONDecoder().decode(Models.self, from: data)
    } catch {
      throw Stop(.document, "models.json: \(error)")
    }
    guard models.name == channel.name, let text = String(data: data, encoding: .utf8) else {
      throw Stop(.document, "This is the channel of \(models.name).")
    }
    guard models.sequence >= state.sequence else {
      throw Stop(.replay, "Sequence \(models.sequence) came after \(state.sequence).")
    }
    if let expires = models.expires, expires < today() {
      throw Stop(.expired, "models.json was to be used until \(expires).")
    }
    var seen = state
    seen.sequence = models.sequence
    if let answer { seen.etag = answer.etag }
    seen.document = text
    seen.signature = signature.base64EncodedString()
    if seen != state { try save(seen) }
    return models
  }

  /// The last document and its signature, if they still fit: only then a 304 is of use.
  private func known(_ state: State) -> (Data, Data)? {
    guard let document = state.document.map({ Data($0.utf8) }),
      let signature = state.signature.flatMap({ Data(base64Encoded: $0) }),
      isSigned(document, signature)
    else { return nil }
    return (document, signature)
  }

  private func isSigned(_ data: Data, _ signature: Data) -> Bool {
    channel.keys.compactMap { Data(base64Encoded: $0) }.contains { key in
      cryptography.isSigned(data, signature: signature, key: key)
    }
  }

  private func today() -> String {
    let format = ISO8601DateFormatter()
    format.formatOptions = .withFullDate
    return format.string(from: Date())
  }

  private func offer(_ models: Models) -> Choice? {
    let choice = models.choose(for: device, cryptography)
    let isInside = choice?.variant == main && choice?.version == channel.bundled
    return isInside ? nil : choice
  }

  /// Nothing to download: the device has it, or returns to the model inside the app.
  private func settle(_ offer: Choice?, _ active: Choice?) throws -> Outcome {
    var state = load()
    if offer == nil, let current = state.current {
      state.current = nil
      state.previous = current
      try save(state)
    } else if let offer, offer != state.current {
      state.current = offer  // the same files in another release
      try save(state)
    }
    let returns = offer == nil && active != nil
    return returns ? .updated(version: nil) : .current(version: offer?.version)
  }

  /// What must be downloaded; files that an installed model has too are copied.
  private func missing(_ wanted: Choice) throws -> [ModelFile] {
    let state = load()
    var have = [String: URL]()
    for choice in [state.current, state.previous].compactMap({ $0 }) {
      for file in choice.model.files { have[file.sha256] = place(file, of: choice) }
    }
    return try wanted.model.files.filter { file in
      let place = place(file, of: wanted)
      if isWhole(place, file) { return false }
      guard let copy = have[file.sha256], isWhole(copy, file) else { return true }
      try write(place) {
        try $0.write(contentsOf: try Data(contentsOf: copy, options: .mappedIfSafe))
      }
      return false
    }
  }

  private func install(_ wanted: Choice, _ missing: [ModelFile], _ installer: any Installer)
    async throws
  {
    do {
      for file in missing { try await download(file, to: place(file, of: wanted)) }
      try await test(wanted, installer)
      try switchTo(wanted)
    } catch {
      // After half a download what is whole stays for the next time; else nothing does.
      let reason = (error as? Stop)?.reason
      if reason == nil || reason == .selfTest { discard(wanted) }
      throw error
    }
  }

  private func download(_ file: ModelFile, to place: URL) async throws {
    let aside = place.appendingPathExtension("part")
    defer { try? FileManager.default.removeItem(at: aside) }
    let handle = try create(aside)
    do {
      defer { try? handle.close() }
      let answer = try await get("files/\(file.sha256)", most: file.bytes, into: handle)
      guard answer != nil else { throw Stop(.network, "\(file.path): status 304") }
      try handle.synchronize()
    }
    guard isWhole(aside, file) else { throw Stop(.download, "\(file.path) arrived damaged.") }
    try replace(place, by: aside)
  }

  /// Golden self-test, noted as failed before it runs: what ends the app is not tried again.
  private func test(_ wanted: Choice, _ installer: any Installer) async throws {
    var state = load()
    state.rejected = wanted.model.digest
    try save(state)
    var problem: String? = "its golden outputs differ."
    do {
      try await installer.prepare(wanted, in: folder(of: wanted))
      if try await installer.passes(wanted, in: folder(of: wanted)) { problem = nil }
    } catch let error as CocoaError where error.code == .fileWriteOutOfSpace {
      state.rejected = nil  // the model is not to blame
      try save(state)
      throw error
    } catch {
      problem = "\(error)"
    }
    if let problem { throw Stop(.selfTest, "Version \(wanted.version): \(problem)") }
  }

  /// One write makes the new model current; only then older ones than the previous go.
  private func switchTo(_ wanted: Choice) throws {
    var state = load()
    let again = state.current?.model.digest == wanted.model.digest  // it was damaged
    if !again { state.previous = state.current }
    state.current = wanted
    state.rejected = nil
    try save(state)
    let models = home.appendingPathComponent("models")
    for name in try FileManager.default.contentsOfDirectory(atPath: models.path)
    where !kept().contains(name) {
      try? FileManager.default.removeItem(at: models.appendingPathComponent(name))
    }
  }

  private func discard(_ choice: Choice) {
    if !kept().contains(choice.model.digest) {
      try? FileManager.default.removeItem(at: folder(of: choice))
    }
  }

  private func kept() -> Set<String> {
    let state = load()
    return Set([state.current, state.previous].compactMap { $0?.model.digest })
  }

  private func file(_ path: String, most: Int64) async throws -> Data {
    guard let answer = try await get(path, most: most) else {
      throw Stop(.network, "\(path): status 304")
    }
    return answer.body
  }

  private struct Answer {
    var body = Data()
    var etag: String?
  }

  /// The body of a 200, at most `most` bytes; nil for a 304 to a known `etag`.
  private func get(
    _ path: String, most: Int64, etag: String? = nil, into handle: FileHandle? = nil
  ) async throws -> Answer? {
    var request = URLRequest(url: channel.url.appendingPathComponent(path))
    request.cachePolicy = .reloadIgnoringLocalCacheData
    // With gzip there is no telling how long the body must be.
    request.setValue("identity", forHTTPHeaderField: "Accept-Encoding")
    if let etag { request.setValue(etag, forHTTPHeaderField: "If-None-Match") }
    let body = Body(handle)
    let response: HTTPURLResponse
    do {
      response = try await Transfer.get(
        request, most: most, patience: channel.patience, sink: body.append)
    } catch let stop as Stop {
      throw Stop(stop.reason, "\(path): \(stop.detail).")
    }
    if response.statusCode == 304, etag != nil { return nil }
    guard response.statusCode == 200 else {
      throw Stop(.network, "\(path): status \(response.statusCode).")
    }
    return Answer(body: body.data, etag: response.value(forHTTPHeaderField: "ETag"))
  }

  /// What came, in memory or in a file. State: filled by one transfer, read when it has ended.
  private final class Body: @unchecked Sendable {
    private let handle: FileHandle?
    private(set) var data = Data()

    init(_ handle: FileHandle?) {
      self.handle = handle
    }

    @Sendable func append(_ piece: Data) throws {
      if let handle { try handle.write(contentsOf: piece) } else { data.append(piece) }
    }
  }

  private func place(_ file: ModelFile, of choice: Choice) -> URL {
    folder(of: choice).appendingPathComponent(file.path)
  }

  private func isUsable(_ choice: Choice) -> Bool {
    (device.interface == nil || device.interface == choice.model.interface)
      && choice.model.files.allSatisfy { isWhole(place($0, of: choice), $0) }
  }

  private func isWhole(_ place: URL, _ file: ModelFile) -> Bool {
    guard let data = try? Data(contentsOf: place, options: .mappedIfSafe) else { return false }
    return data.count == file.bytes && cryptography.sha256(data).hex == file.sha256
  }

  private var stateFile: URL { home.appendingPathComponent("state.json") }

  /// What is remembered; nothing yet, or nothing legible, is a new start.
  private func load() -> State {
    guard let data = try? Data(contentsOf: stateFile),
      let state = try? JSONDecoder().decode(State.self, from: data),
      [state.current, state.previous].allSatisfy({ $0?.model.isValid ?? true })
    else { return State() }
    return state
  }

  private func save(_ state: State) throws {
    let data = try JSONEncoder().encode(state)
    try write(stateFile) { try $0.write(contentsOf: data) }
  }

  /// Write aside, flush to the disk, rename: the file is whole or not there.
  private func write(_ place: URL, _ content: (FileHandle) throws -> Void) throws {
    let aside = place.appendingPathExtension("part")
    defer { try? FileManager.default.removeItem(at: aside) }
    let handle = try create(aside)
    do {
      defer { try? handle.close() }
      try content(handle)
      try handle.synchronize()
    }
    try replace(place, by: aside)
  }

  private func create(_ file: URL) throws -> FileHandle {
    let parent = file.deletingLastPathComponent()
    try FileManager.default.createDirectory(at: parent, withIntermediateDirectories: true)
    try Data().write(to: file)
    return try FileHandle(forWritingTo: file)
  }

  private func replace(_ place: URL, by aside: URL) throws {
    if rename(aside.path, place.path) != 0 {
      throw CocoaError(.fileWriteUnknown, userInfo: [NSFilePathErrorKey: place.path])
    }
  }
}

extension Data {
  fileprivate var hex: String { map { String(format: "%02x", $0) }.joined() }
}
