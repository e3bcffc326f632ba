#if canImport(CoreML)
  import CoreML
  import CoreVideo
  import Foundation

  /// The Core ML artifact of a bundle, compiled by Xcode or by `MLModel.compileModel(at:)`.
  public final class CoreMLRuntime: ModelRuntime {
    let model: MLModel
    private let about: ModelDescription

    /// Load a compiled model (`.mlmodelc`).
    public init(
      contentsOf url: URL, about: ModelDescription,
      configuration: MLModelConfiguration = MLModelConfiguration()
    ) throws {
      model = try MLModel(contentsOf: url, configuration: configuration)
      self.about = about
    }

    /// Whether the package itself takes a picture, and not its tensor.
    var takesPicture: Bool {
      let input = model.modelDescription.inputDescriptionsByName[about.inputs[0].name]
      return input?.type == .image
    }

    public func run(_ input: ModelInput) throws -> [String: Tensor] {
      let features = try MLDictionaryFeatureProvider(dictionary: try features(input))
      let result = try model.prediction(from: features)
      return try outputs { result.featureValue(for: $0) }
    }

    /// Every output as a tensor, from what the package gives by its name.
    func outputs(_ value: (String) -> MLFeatureValue?) throws -> [String: Tensor] {
      var outputs = [String: Tensor]()
      for spec in about.outputs { outputs[spec.name] = try tensor(value(spec.name), spec) }
      return outputs
    }

    /// A picture stays one where the package takes one: then the scaling is inside it.
    private func features(_ input: ModelInput) throws -> [String: MLFeatureValue] {
      switch input {
      case .tensors(let tensors):
        return try tensors.mapValues { MLFeatureValue(multiArray: try multiArray($0)) }
      case .picture(let fitted):
        let name = about.inputs[0].name
        if takesPicture { return [name: MLFeatureValue(pixelBuffer: try fitted.pixelBuffer())] }
        guard let preprocessing = about.preprocessing else {
          throw ModelError("\(about.name) takes no picture.")
        }
        return [name: MLFeatureValue(multiArray: try multiArray(preprocessing.tensor(fitted)))]
      }
    }

    private func multiArray(_ tensor: Tensor) throws -> MLMultiArray {
      let shape = tensor.shape.map { NSNumber(value: $0) }
      let array = try MLMultiArray(shape: shape, dataType: .float32)
      array.withUnsafeMutableBufferPointer(ofType: Float.self) { values, _ in
        _ = values.update(from: tensor.data)
      }
      return array
    }

    /// A classifier gives its scores by label, everything else as an array.
    private func tensor(_ value: MLFeatureValue?, _ spec: TensorSpec) throws -> Tensor {
      if let array = value?.multiArrayValue {
        let data = (0..<array.count).map { array[$0].floatValue }
        return Tensor(data, shape: array.shape.map(\.intValue))
      }
      guard let scores = value?.dictionaryValue, let labels = about.classifier?.labels else {
        throw ModelError("Core ML gives no output \(spec.name).")
      }
      let all = labels.map { scores[$0 as NSString]?.floatValue ?? .nan }
      // One sigmoid: the package names both classes, the network gives the score of the second.
      let data = spec.shape.last == 1 ? [all[1]] : all
      return Tensor(data, shape: [1, data.count])
    }
  }

  extension FittedPicture {
    /// As Core ML takes pictures: 32BGRA, or one 8-bit component for gray.
    func pixelBuffer() throws -> CVPixelBuffer {
      let format = color == .gray ? kCVPixelFormatType_OneComponent8 : kCVPixelFormatType_32BGRA
      var created: CVPixelBuffer?
      CVPixelBufferCreate(nil, width, height, format, nil, &created)
      guard let buffer = created else { throw ModelError("There is no memory for a picture.") }
      CVPixelBufferLockBaseAddress(buffer, [])
      defer { CVPixelBufferUnlockBaseAddress(buffer, []) }
      guard let base = CVPixelBufferGetBaseAddress(buffer) else {
        throw ModelError("There is no memory for a picture.")
      }
      let stride = CVPixelBufferGetBytesPerRow(buffer)
      for y in 0..<height {
        let row = base.advanced(by: y * stride).assumingMemoryBound(to: UInt8.self)
        for x in 0..<width {
          let at = (y * width + x) * color.channels
          switch color {
          case .gray: row[x] = bytes[at]
          case .rgb: write(row + 4 * x, blue: bytes[at + 2], green: bytes[at + 1], red: bytes[at])
          case .bgr: write(row + 4 * x, blue: bytes[at], green: bytes[at + 1], red: bytes[at + 2])
          }
        }
      }
      return buffer
    }

    private func write(_ pixel: UnsafeMutablePointer<UInt8>, blue: UInt8, green: UInt8, red: UInt8)
    {
      (pixel[0], pixel[1], pixel[2], pixel[3]) = (blue, green, red, 255)
    }
  }
#endif
