@_exported import CoreVideo

/// https://developer.apple.com/documentation/coreml/mlmodelconfiguration
public class MLModelConfiguration: NSObject {}

/// https://developer.apple.com/documentation/coreml/mlfeaturetype
public enum MLFeatureType: Int, Sendable {
  case invalid, int64, double, string, image, multiArray, dictionary, sequence, state
}

/// https://developer.apple.com/documentation/coreml/mlfeaturedescription
public class MLFeatureDescription: NSObject {
  /// https://developer.apple.com/documentation/coreml/mlfeaturedescription/type
  public var type: MLFeatureType { fatalError() }
}

/// https://developer.apple.com/documentation/coreml/mlmodeldescription
public class MLModelDescription: NSObject {
  /// https://developer.apple.com/documentation/coreml/mlmodeldescription/inputdescriptionsbyname
  public var inputDescriptionsByName: [String: MLFeatureDescription] { fatalError() }
}

/// https://developer.apple.com/documentation/coreml/mlmultiarraydatatype
public enum MLMultiArrayDataType: Int, Sendable {
  case float32
}

/// https://developer.apple.com/documentation/coreml/mlmultiarray
public class MLMultiArray: NSObject {
  /// https://developer.apple.com/documentation/coreml/mlmultiarray/init(shape:datatype:)
  public init(shape: [NSNumber], dataType: MLMultiArrayDataType) throws {}

  /// https://developer.apple.com/documentation/coreml/mlmultiarray/count
  public var count: Int { fatalError() }

  /// https://developer.apple.com/documentation/coreml/mlmultiarray/shape
  public var shape: [NSNumber] { fatalError() }

  /// https://developer.apple.com/documentation/coreml/mlmultiarray/subscript(_:)
  public subscript(index: Int) -> NSNumber { fatalError() }

  /// https://developer.apple.com/documentation/coreml/mlmultiarray/withunsafemutablebufferpointer(oftype:_:)
  public func withUnsafeMutableBufferPointer<S, R>(
    ofType type: S.Type, _ body: (UnsafeMutableBufferPointer<S>, [Int]) throws -> R
  ) rethrows -> R { fatalError() }
}

/// https://developer.apple.com/documentation/coreml/mlfeaturevalue
public class MLFeatureValue: NSObject {
  /// https://developer.apple.com/documentation/coreml/mlfeaturevalue/init(multiarray:)
  public init(multiArray value: MLMultiArray) {}

  /// https://developer.apple.com/documentation/coreml/mlfeaturevalue/init(pixelbuffer:)
  public init(pixelBuffer value: CVPixelBuffer) {}

  /// https://developer.apple.com/documentation/coreml/mlfeaturevalue/init(dictionary:)
  public init(dictionary value: [AnyHashable: NSNumber]) throws {}

  /// https://developer.apple.com/documentation/coreml/mlfeaturevalue/multiarrayvalue
  public var multiArrayValue: MLMultiArray? { fatalError() }

  /// https://developer.apple.com/documentation/coreml/mlfeaturevalue/dictionaryvalue
  public var dictionaryValue: [AnyHashable: NSNumber] { fatalError() }
}

/// https://developer.apple.com/documentation/coreml/mlfeatureprovider
public protocol MLFeatureProvider {
  /// https://developer.apple.com/documentation/coreml/mlfeatureprovider/featurevalue(for:)
  func featureValue(for featureName: String) -> MLFeatureValue?
}

/// https://developer.apple.com/documentation/coreml/mldictionaryfeatureprovider
public class MLDictionaryFeatureProvider: NSObject, MLFeatureProvider {
  /// https://developer.apple.com/documentation/coreml/mldictionaryfeatureprovider/init(dictionary:)
  public init(dictionary: [String: Any]) throws {}

  public func featureValue(for featureName: String) -> MLFeatureValue? { fatalError() }
}

/// https://developer.apple.com/documentation/coreml/mlmodel
public class MLModel: NSObject {
  /// https://developer.apple.com/documentation/coreml/mlmodel/init(contentsof:configuration:)
  public init(contentsOf url: URL, configuration: MLModelConfiguration) throws {}

  /// https://developer.apple.com/documentation/coreml/mlmodel/modeldescription
  public var modelDescription: MLModelDescription { fatalError() }

  /// https://developer.apple.com/documentation/coreml/mlmodel/prediction(from:)
  public func prediction(from input: any MLFeatureProvider) throws -> any MLFeatureProvider {
    fatalError()
  }

  /// https://developer.apple.com/documentation/coreml/mlmodel/compilemodel(at:)
  public class func compileModel(at modelURL: URL) async throws -> URL { fatalError() }
}
