#if canImport(Vision)
  import CoreML
  import Foundation
  import Vision

  /// The Core ML artifact of a bundle behind one Vision request, which is used for every picture.
  ///
  /// Vision would resize by another rule than the network was verified with. So the pictures come in the
  /// input's size, and nothing is left to resize. What Vision does not run, a package that takes tensors,
  /// goes to Core ML directly.
  ///
  /// State: the request holds its last results; one thread or actor at a time.
  public final class VisionRuntime: ModelRuntime {
    private let coreML: CoreMLRuntime
    private let request: VNCoreMLRequest?

    /// Load a compiled model (`.mlmodelc`).
    public init(
      contentsOf url: URL, about: ModelDescription,
      configuration: MLModelConfiguration = MLModelConfiguration()
    ) throws {
      coreML = try CoreMLRuntime(contentsOf: url, about: about, configuration: configuration)
      guard coreML.takesPicture else {
        request = nil
        return
      }
      let request = VNCoreMLRequest(model: try VNCoreMLModel(for: coreML.model))
      request.imageCropAndScaleOption = .scaleFill
      self.request = request
    }

    public func run(_ input: ModelInput) throws -> [String: Tensor] {
      guard let request, case .picture(let fitted) = input else { return try coreML.run(input) }
      let handler = VNImageRequestHandler(
        cvPixelBuffer: try fitted.pixelBuffer(), orientation: .up, options: [:])
      try handler.perform([request])
      let results = request.results ?? []
      if let classes = results as? [VNClassificationObservation], !classes.isEmpty {
        // Vision hands on a classifier's scores as they are, sorted.
        var scores = [AnyHashable: NSNumber]()
        for observed in classes {
          scores[observed.identifier as NSString] = NSNumber(value: observed.confidence)
        }
        let value = try MLFeatureValue(dictionary: scores)
        return try coreML.outputs { _ in value }
      }
      let values = results.compactMap { $0 as? VNCoreMLFeatureValueObservation }
      return try coreML.outputs { name in
        values.first { $0.featureName == name }?.featureValue
      }
    }
  }
#endif
