@_exported import CoreML
@_exported import ImageIO

/// https://developer.apple.com/documentation/vision/vnimagecropandscaleoption
public enum VNImageCropAndScaleOption: UInt, Sendable {
  case centerCrop, scaleFit, scaleFill
}

/// https://developer.apple.com/documentation/vision/vnimageoption
public struct VNImageOption: Hashable, Sendable {}

/// https://developer.apple.com/documentation/vision/vnconfidence
public typealias VNConfidence = Float

/// https://developer.apple.com/documentation/vision/vnobservation
public class VNObservation: NSObject {
  /// https://developer.apple.com/documentation/vision/vnobservation/confidence
  public let confidence: VNConfidence

  init(confidence: VNConfidence) { self.confidence = confidence }
}

/// https://developer.apple.com/documentation/vision/vnclassificationobservation
public class VNClassificationObservation: VNObservation {
  /// https://developer.apple.com/documentation/vision/vnclassificationobservation/identifier
  public let identifier: String

  init(_ identifier: String, confidence: VNConfidence) {
    self.identifier = identifier
    super.init(confidence: confidence)
  }
}

/// https://developer.apple.com/documentation/vision/vncoremlfeaturevalueobservation
public class VNCoreMLFeatureValueObservation: VNObservation {
  /// https://developer.apple.com/documentation/vision/vncoremlfeaturevalueobservation/featurename
  public let featureName: String

  /// https://developer.apple.com/documentation/vision/vncoremlfeaturevalueobservation/featurevalue
  public let featureValue: MLFeatureValue

  init(_ name: String, _ value: MLFeatureValue) {
    (featureName, featureValue) = (name, value)
    super.init(confidence: 1)
  }
}

/// Not Sendable: it holds its results.
/// https://developer.apple.com/documentation/vision/vnrequest
public class VNRequest: NSObject {
  /// https://developer.apple.com/documentation/vision/vnrequest/results
  public internal(set) var results: [VNObservation]?
}

/// https://developer.apple.com/documentation/vision/vncoremlmodel
public class VNCoreMLModel: NSObject {
  /// https://developer.apple.com/documentation/vision/vncoremlmodel/init(for:)
  public init(for model: MLModel) throws {
    guard model.inside.type == .image else { throw CocoaError(.featureUnsupported) }
    self.model = model
  }

  let model: MLModel
}

/// https://developer.apple.com/documentation/vision/vnrequestcompletionhandler
public typealias VNRequestCompletionHandler = (VNRequest, (any Error)?) -> Void

/// https://developer.apple.com/documentation/vision/vnimagebasedrequest
public class VNImageBasedRequest: VNRequest {}

/// https://developer.apple.com/documentation/vision/vncoremlrequest
public class VNCoreMLRequest: VNImageBasedRequest {
  /// https://developer.apple.com/documentation/vision/vncoremlrequest/init(model:completionhandler:)
  public init(model: VNCoreMLModel, completionHandler: VNRequestCompletionHandler? = nil) {
    self.model = model
  }

  /// https://developer.apple.com/documentation/vision/vncoremlrequest/model
  public let model: VNCoreMLModel

  /// https://developer.apple.com/documentation/vision/vncoremlrequest/imagecropandscaleoption
  public var imageCropAndScaleOption: VNImageCropAndScaleOption = .centerCrop
}

/// https://developer.apple.com/documentation/vision/vnimagerequesthandler
public class VNImageRequestHandler: NSObject {
  /// https://developer.apple.com/documentation/vision/vnimagerequesthandler/init(cvpixelbuffer:orientation:options:)-9fxug
  public init(
    cvPixelBuffer pixelBuffer: CVPixelBuffer, orientation: CGImagePropertyOrientation,
    options: [VNImageOption: Any] = [:]
  ) {
    buffer = pixelBuffer
  }

  private let buffer: CVPixelBuffer

  /// https://developer.apple.com/documentation/vision/vnimagerequesthandler/perform(_:)
  public func perform(_ requests: [VNRequest]) throws {
    for case let request as VNCoreMLRequest in requests {
      let (model, inside) = (request.model.model, request.model.model.inside)
      let input = try MLDictionaryFeatureProvider(dictionary: [
        inside.input: MLFeatureValue(pixelBuffer: buffer)
      ])
      guard let value = try model.prediction(from: input).featureValue(for: inside.output) else {
        continue
      }
      // Classes come sorted, the most confident first, whatever the order of the labels.
      request.results =
        inside.labels == nil
        ? [VNCoreMLFeatureValueObservation(inside.output, value)]
        : value.dictionaryValue.sorted { $0.value.floatValue > $1.value.floatValue }.map {
          VNClassificationObservation("\($0.key)", confidence: $0.value.floatValue)
        }
    }
  }
}
