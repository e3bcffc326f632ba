@_exported import CoreVideo

/// https://developer.apple.com/documentation/coreml/mlmodelconfiguration
public class MLModelConfiguration: NSObject {}

/// https://developer.apple.com/documentation/coreml/mlfeaturetype
public enum MLFeatureType: Int, Sendable {
  case invalid, int64, double, string, image, multiArray, dictionary, sequence, state
}

/// What is inside a package; tests say.
public struct StandIn {
  /// Names, type and labels as in the package's description; without labels an array comes out.
  public let input: String
  public let type: MLFeatureType
  public let output: String
  public let labels: [String]?
  public let scores: (MLFeatureValue) -> [Float]

  public init(
    input: String, type: MLFeatureType, output: String, labels: [String]?,
    scores: @escaping (MLFeatureValue) -> [Float]
  ) {
    (self.input, self.type, self.output, self.labels) = (input, type, output, labels)
    self.scores = scores
  }
}

/// https://developer.apple.com/documentation/coreml/mlfeaturedescription
public class MLFeatureDescription: NSObject {
  /// https://developer.apple.com/documentation/coreml/mlfeaturedescription/type
  public let type: MLFeatureType

  init(type: MLFeatureType) { self.type = type }
}

/// https://developer.apple.com/documentation/coreml/mlmodeldescription
public class MLModelDescription: NSObject {
  /// https://developer.apple.com/documentation/coreml/mlmodeldescription/inputdescriptionsbyname
  public let inputDescriptionsByName: [String: MLFeatureDescription]

  init(_ inputs: [String: MLFeatureDescription]) { inputDescriptionsByName = inputs }
}

/// https://developer.apple.com/documentation/coreml/mlmultiarraydatatype
public enum MLMultiArrayDataType: Int, Sendable {
  case float32
}

/// https://developer.apple.com/documentation/coreml/mlmultiarray
public class MLMultiArray: NSObject {
  private var values: [Float]

  /// https://developer.apple.com/documentation/coreml/mlmultiarray/shape
  public let shape: [NSNumber]

  /// https://developer.apple.com/documentation/coreml/mlmultiarray/init(shape:datatype:)
  public init(shape: [NSNumber], dataType: MLMultiArrayDataType) throws {
    self.shape = shape
    values = [Float](repeating: .nan, count: shape.map(\.intValue).reduce(1, *))
  }

  /// https://developer.apple.com/documentation/coreml/mlmultiarray/count
  public var count: Int { values.count }

  /// https://developer.apple.com/documentation/coreml/mlmultiarray/subscript(_:)
  public subscript(index: Int) -> NSNumber { NSNumber(value: values[index]) }

  /// https://developer.apple.com/documentation/coreml/mlmultiarray/withunsafemutablebufferpointer(oftype:_:)
  public func withUnsafeMutableBufferPointer<S, R>(
    ofType type: S.Type, _ body: (UnsafeMutableBufferPointer<S>, [Int]) throws -> R
  ) rethrows -> R {
    try values.withUnsafeMutableBytes { try body($0.bindMemory(to: S.self), []) }
  }
}

/// https://developer.apple.com/documentation/coreml/mlfeaturevalue
public class MLFeatureValue: NSObject {
  /// https://developer.apple.com/documentation/coreml/mlfeaturevalue/multiarrayvalue
  public let multiArrayValue: MLMultiArray?

  /// https://developer.apple.com/documentation/coreml/mlfeaturevalue/imagebuffervalue
  public let imageBufferValue: CVPixelBuffer?

  /// https://developer.apple.com/documentation/coreml/mlfeaturevalue/dictionaryvalue
  public let dictionaryValue: [AnyHashable: NSNumber]

  /// https://developer.apple.com/documentation/coreml/mlfeaturevalue/init(multiarray:)
  public init(multiArray value: MLMultiArray) {
    (multiArrayValue, imageBufferValue, dictionaryValue) = (value, nil, [:])
  }

  /// https://developer.apple.com/documentation/coreml/mlfeaturevalue/init(pixelbuffer:)
  public init(pixelBuffer value: CVPixelBuffer) {
    (multiArrayValue, imageBufferValue, dictionaryValue) = (nil, value, [:])
  }

  /// https://developer.apple.com/documentation/coreml/mlfeaturevalue/init(dictionary:)
  public init(dictionary value: [AnyHashable: NSNumber]) throws {
    (multiArrayValue, imageBufferValue, dictionaryValue) = (nil, nil, value)
  }
}

/// https://developer.apple.com/documentation/coreml/mlfeatureprovider
public protocol MLFeatureProvider {
  /// https://developer.apple.com/documentation/coreml/mlfeatureprovider/featurevalue(for:)
  func featureValue(for featureName: String) -> MLFeatureValue?
}

/// https://developer.apple.com/documentation/coreml/mldictionaryfeatureprovider
public class MLDictionaryFeatureProvider: NSObject, MLFeatureProvider {
  private let values: [String: MLFeatureValue]

  /// https://developer.apple.com/documentation/coreml/mldictionaryfeatureprovider/init(dictionary:)
  public init(dictionary: [String: Any]) throws {
    values = dictionary.compactMapValues { $0 as? MLFeatureValue }
  }

  public func featureValue(for featureName: String) -> MLFeatureValue? { values[featureName] }
}

/// https://developer.apple.com/documentation/coreml/mlmodel
public class MLModel: NSObject {
  nonisolated(unsafe) public static var standIn: StandIn?
  public let inside: StandIn

  /// https://developer.apple.com/documentation/coreml/mlmodel/init(contentsof:configuration:)
  public init(contentsOf url: URL, configuration: MLModelConfiguration) throws {
    guard let standIn = Self.standIn else { throw CocoaError(.fileReadNoSuchFile) }
    inside = standIn
  }

  /// https://developer.apple.com/documentation/coreml/mlmodel/modeldescription
  public var modelDescription: MLModelDescription {
    MLModelDescription([inside.input: MLFeatureDescription(type: inside.type)])
  }

  /// https://developer.apple.com/documentation/coreml/mlmodel/prediction(from:)
  public func prediction(from input: any MLFeatureProvider) throws -> any MLFeatureProvider {
    guard let value = input.featureValue(for: inside.input) else {
      throw CocoaError(.coderValueNotFound)
    }
    let scores = inside.scores(value)
    if let labels = inside.labels {
      let pairs = zip(labels, scores).map { (AnyHashable($0 as NSString), NSNumber(value: $1)) }
      let dictionary = Dictionary(uniqueKeysWithValues: pairs)
      return try MLDictionaryFeatureProvider(dictionary: [
        inside.output: MLFeatureValue(dictionary: dictionary)
      ])
    }
    let array = try MLMultiArray(shape: [1, NSNumber(value: scores.count)], dataType: .float32)
    array.withUnsafeMutableBufferPointer(ofType: Float.self) { values, _ in
      _ = values.update(from: scores)
    }
    return try MLDictionaryFeatureProvider(dictionary: [
      inside.output: MLFeatureValue(multiArray: array)
    ])
  }

  /// https://developer.apple.com/documentation/coreml/mlmodel/compilemodel(at:)
  public class func compileModel(at modelURL: URL) async throws -> URL { fatalError() }
}
