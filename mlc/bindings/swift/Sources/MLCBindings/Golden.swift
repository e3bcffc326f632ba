import Foundation

/// One input of the bundle with what the original network answered.
public struct GoldenCase: Sendable {
  public let name: String
  /// The picture as it came; nil where the input is no picture.
  public let picture: Pixels?
  public let inputs: [String: Tensor]
  public let outputs: [String: Tensor]
}

/// What became of a case.
public struct CaseResult: Sendable, Identifiable {
  /// How far one output is off, and how far it may be.
  public struct Output: Sendable {
    public let name: String
    public let error: Float
    public let tolerance: Float
  }

  public let name: String
  /// Largest difference of the preprocessed picture, in pixel values (0...255); nil without one.
  public let pixelError: Float?
  public let outputs: [Output]
  /// Label that the original network gave; nil where it is no classifier. `got` likewise.
  public let expected: String?
  public let got: String?
  /// Why it did not pass, for people; empty where it did.
  public let reason: String

  public var passed: Bool { reason.isEmpty }
  public var id: String { name }
}

/// The golden self-test: inputs with the outputs of the original network, run on this device.
public struct Golden: Sendable {
  public let cases: [GoldenCase]
  /// How far each output may be off on another device than the one that measured it.
  public let tolerance: [String: Float]

  /// A picture decoded here may differ by one pixel value from what mlc saw.
  private static let pixelTolerance: Float = 1

  /// Read the golden cases of a bundle.
  ///
  /// - Parameters:
  ///   - file: the manifest's `golden.file`.
  ///   - read: reads a file by its path inside the bundle.
  ///   - decode: decodes a PNG without changing a pixel; `PlatformPixels.swift` has it.
  public init(
    _ file: String = "golden/golden.json",
    read: (String) throws -> Data,
    decode: (Data) throws -> Pixels
  ) throws {
    let folder = file.lastIndex(of: "/").map { String(file[...$0]) } ?? ""
    let stored = try JSONDecoder().decode(Stored.self, from: try read(file))
    guard let artifact = stored.artifacts["coreml"] else {
      throw ModelError("The bundle has no golden outputs for Core ML.")
    }
    func tensors(_ rows: [Stored.TensorFile]) throws -> [String: Tensor] {
      var result = [String: Tensor]()
      for row in rows {
        result[row.name] = Tensor(floats(try read(folder + row.file)), shape: row.shape)
      }
      return result
    }
    tolerance = artifact.tolerance
    cases = try stored.cases.map { row in
      GoldenCase(
        name: row.name,
        picture: try row.picture.map { try decode(try read(folder + $0)) },
        inputs: try tensors(row.inputs),
        outputs: try tensors(row.outputs))
    }
  }

  /// Run every case, from the picture where there is one.
  public func test<Runtime>(_ model: Model<Runtime>) throws -> [CaseResult] {
    try cases.map { try test(model, $0) }
  }

  private func test<Runtime>(_ model: Model<Runtime>, _ golden: GoldenCase) throws -> CaseResult {
    let got = try golden.picture.map(model.predict) ?? model.run(golden.inputs)
    let off = golden.picture.map { pixelError(model.about, $0, golden.inputs) }
    let outputs = golden.outputs.sorted { $0.key < $1.key }.map { name, expected in
      CaseResult.Output(
        name: name, error: largestError(got[name], expected), tolerance: tolerance[name] ?? 0)
    }
    return CaseResult(
      name: golden.name,
      pixelError: off,
      outputs: outputs,
      expected: try model.about.classifier?.answer(golden.outputs),
      got: try model.about.classifier?.answer(got),
      reason: reason(off, outputs))
  }

  private func reason(_ pixelError: Float?, _ outputs: [CaseResult.Output]) -> String {
    if let pixelError, pixelError > Self.pixelTolerance {
      return "The preprocessed picture is off by \(pixelError) pixel values."
    }
    guard let far = outputs.first(where: { $0.error > $0.tolerance }) else { return "" }
    return "\(far.name) is off by \(far.error); allowed are \(far.tolerance)."
  }

  private func pixelError(
    _ about: ModelDescription, _ picture: Pixels, _ expected: [String: Tensor]
  ) -> Float {
    guard let preprocessing = about.preprocessing, let tensor = expected[about.inputs[0].name]
    else {
      return .infinity
    }
    return largestError(preprocessing.tensor(picture), tensor, in: preprocessing.pixelSteps)
  }
}

extension Classifier {
  fileprivate func answer(_ outputs: [String: Tensor]) throws -> String? {
    topK(try probabilities(outputs), 1).first?.label
  }
}

/// In units of `steps`, which take turns. NaN anywhere, or another length, is as far off as can be.
private func largestError(_ got: Tensor?, _ expected: Tensor, in steps: [Float] = [1]) -> Float {
  guard let got, got.data.count == expected.data.count, !got.data.contains(where: \.isNaN) else {
    return .infinity
  }
  return got.data.indices.reduce(0) { worst, i in
    max(worst, abs(got.data[i] - expected.data[i]) / steps[i % steps.count])
  }
}

/// float32, little-endian whatever the machine.
private func floats(_ data: Data) -> [Float] {
  data.withUnsafeBytes { bytes in
    (0..<bytes.count / 4).map { i in
      let word = bytes.loadUnaligned(fromByteOffset: 4 * i, as: UInt32.self)
      return Float(bitPattern: UInt32(littleEndian: word))
    }
  }
}

/// golden.json.
private struct Stored: Decodable {
  struct TensorFile: Decodable {
    let name: String
    let file: String
    let shape: [Int]
  }

  struct Case: Decodable {
    let name: String
    let picture: String?
    let inputs: [TensorFile]
    let outputs: [TensorFile]
  }

  struct Artifact: Decodable {
    let tolerance: [String: Float]
  }

  let cases: [Case]
  let artifacts: [String: Artifact]
}
