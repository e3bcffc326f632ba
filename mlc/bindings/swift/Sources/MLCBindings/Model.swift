/// Numbers with a shape. Integers and truth values are numbers too: runtimes cast them.
public struct Tensor: Sendable {
  public let data: [Float]
  public let shape: [Int]

  public init(_ data: [Float], shape: [Int]) {
    self.data = data
    self.shape = shape
  }
}

/// Name, shape and type of an input or output; nil is a dimension left open.
public struct TensorSpec: Sendable {
  public let name: String
  public let shape: [Int?]
  public let dtype: String

  public init(name: String, shape: [Int?], dtype: String) {
    self.name = name
    self.shape = shape
    self.dtype = dtype
  }
}

/// A file of the bundle, and what it must be. Core ML's is a folder.
public struct Artifact: Sendable {
  public let file: String
  public let sha256: String
  public let bytes: Int

  public init(file: String, sha256: String, bytes: Int) {
    self.file = file
    self.sha256 = sha256
    self.bytes = bytes
  }
}

/// What an app needs to know of a model; the enum of that model holds it.
public struct ModelDescription: Sendable {
  public let name: String
  public let version: String
  /// SHA-256 of the file that the model was trained into.
  public let source: String
  /// SHA-256 of inputs, outputs, preprocessing and labels: another model with the same one fits the app.
  public let interfaceDigest: String
  public let artifact: Artifact
  public let inputs: [TensorSpec]
  public let outputs: [TensorSpec]
  /// Nil where the network takes no picture.
  public let preprocessing: Preprocessing?
  /// Nil where the outputs are no class scores.
  public let classifier: Classifier?

  public init(
    name: String, version: String, source: String, interfaceDigest: String, artifact: Artifact,
    inputs: [TensorSpec], outputs: [TensorSpec], preprocessing: Preprocessing?,
    classifier: Classifier?
  ) {
    self.name = name
    self.version = version
    self.source = source
    self.interfaceDigest = interfaceDigest
    self.artifact = artifact
    self.inputs = inputs
    self.outputs = outputs
    self.preprocessing = preprocessing
    self.classifier = classifier
  }
}

/// What is wrong, for people.
public struct ModelError: Error, CustomStringConvertible {
  public let description: String

  public init(_ description: String) { self.description = description }
}

/// What a runtime is fed: a picture in the input's size, or tensors by the network's names.
public enum ModelInput: Sendable {
  case picture(FittedPicture)
  case tensors([String: Tensor])
}

/// A loaded artifact. `CoreMLRuntime` makes one of a file; tests may put anything behind it.
public protocol ModelRuntime {
  /// Run once; tensors by the network's names.
  func run(_ input: ModelInput) throws -> [String: Tensor]
}

/// Pixels in, labels out.
public struct Model<Runtime: ModelRuntime> {
  public let about: ModelDescription
  public let runtime: Runtime

  public init(_ about: ModelDescription, on runtime: Runtime) {
    self.about = about
    self.runtime = runtime
  }

  /// The `k` most probable labels of a picture, best first.
  public func classify(_ pixels: Pixels, k: Int = 5) throws -> [Prediction] {
    guard let classifier = about.classifier else {
      throw ModelError("\(about.name) has no class scores: use predict.")
    }
    return classifier.topK(try classifier.probabilities(predict(pixels)), k)
  }

  /// All outputs for a picture.
  public func predict(_ pixels: Pixels) throws -> [String: Tensor] {
    guard let preprocessing = about.preprocessing else {
      throw ModelError("\(about.name) takes no picture: use run.")
    }
    return try runtime.run(.picture(preprocessing.fit(pixels)))
  }

  /// All outputs for tensors, by the network's names.
  public func run(_ inputs: [String: Tensor]) throws -> [String: Tensor] {
    try runtime.run(.tensors(inputs))
  }
}

extension Model: Sendable where Runtime: Sendable {}
