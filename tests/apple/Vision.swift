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
  public var confidence: VNConfidence { fatalError() }
}

/// https://developer.apple.com/documentation/vision/vnclassificationobservation
public class VNClassificationObservation: VNObservation {
  /// https://developer.apple.com/documentation/vision/vnclassificationobservation/identifier
  public var identifier: String { fatalError() }
}

/// https://developer.apple.com/documentation/vision/vncoremlfeaturevalueobservation
public class VNCoreMLFeatureValueObservation: VNObservation {
  /// https://developer.apple.com/documentation/vision/vncoremlfeaturevalueobservation/featurename
  public var featureName: String { fatalError() }

  /// https://developer.apple.com/documentation/vision/vncoremlfeaturevalueobservation/featurevalue
  public var featureValue: MLFeatureValue { fatalError() }
}

/// Not Sendable: it holds its results.
/// https://developer.apple.com/documentation/vision/vnrequest
public class VNRequest: NSObject {
  /// https://developer.apple.com/documentation/vision/vnrequest/results
  public var results: [VNObservation]? { fatalError() }
}

/// https://developer.apple.com/documentation/vision/vncoremlmodel
public class VNCoreMLModel: NSObject {
  /// https://developer.apple.com/documentation/vision/vncoremlmodel/init(for:)
  public init(for model: MLModel) throws {}
}

/// https://developer.apple.com/documentation/vision/vnrequestcompletionhandler
public typealias VNRequestCompletionHandler = (VNRequest, (any Error)?) -> Void

/// https://developer.apple.com/documentation/vision/vnimagebasedrequest
public class VNImageBasedRequest: VNRequest {}

/// https://developer.apple.com/documentation/vision/vncoremlrequest
public class VNCoreMLRequest: VNImageBasedRequest {
  /// https://developer.apple.com/documentation/vision/vncoremlrequest/init(model:completionhandler:)
  public init(model: VNCoreMLModel, completionHandler: VNRequestCompletionHandler? = nil) {}

  /// https://developer.apple.com/documentation/vision/vncoremlrequest/imagecropandscaleoption
  public var imageCropAndScaleOption: VNImageCropAndScaleOption = .centerCrop
}

/// https://developer.apple.com/documentation/vision/vnimagerequesthandler
public class VNImageRequestHandler: NSObject {
  /// https://developer.apple.com/documentation/vision/vnimagerequesthandler/init(cvpixelbuffer:orientation:options:)-9fxug
  public init(
    cvPixelBuffer pixelBuffer: CVPixelBuffer, orientation: CGImagePropertyOrientation,
    options: [VNImageOption: Any] = [:]
  ) {}

  /// https://developer.apple.com/documentation/vision/vnimagerequesthandler/perform(_:)
  public func perform(_ requests: [VNRequest]) throws {}
}
