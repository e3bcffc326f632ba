import Foundation
import HotdogKit
import MLCBindings
import Updates

/// A compiled model with the golden cases of its bundle.
struct LoadedModel {
  let model: MLCBindings.Model<VisionRuntime>
  private let bundle: URL

  /// - Parameters:
  ///   - compiled: a `.mlmodelc`.
  ///   - bundle: the folder in which `golden/` is.
  init(compiled: URL, bundle: URL) throws {
    let about = BundledModel.description
    model = MLCBindings.Model(about, on: try VisionRuntime(contentsOf: compiled, about: about))
    self.bundle = bundle
  }

  init(_ place: ModelPlace) throws {
    switch place {
    case .downloaded(let choice, let folder):
      let compiled = CoreMLInstaller.compiled(choice, in: folder)
      try self.init(compiled: compiled, bundle: folder)
    case .insideTheApp:
      guard let compiled = Bundle.main.url(forResource: "Model", withExtension: "mlmodelc"),
        let bundle = Bundle.main.url(forResource: "bundle", withExtension: nil)
      else { throw ModelError("There is no model in the app: run take.sh, and build again.") }
      try self.init(compiled: compiled, bundle: bundle)
    }
  }

  func answer(_ pixels: Pixels) throws -> Answer {
    var predictions = [Prediction]()
    let duration = try ContinuousClock().measure { predictions = try model.classify(pixels) }
    guard let best = predictions.first else { throw ModelError("The model has no labels.") }
    let banner = Banner(best: best.label, among: model.about.classifier?.labels ?? [])
    return Answer(predictions: predictions, duration: duration, banner: banner)
  }

  func selfTest() throws -> [CaseResult] {
    let golden = try Golden(
      read: { try Data(contentsOf: bundle.appendingPathComponent($0)) },
      decode: { try Pixels(png: $0) })
    return try golden.test(model)
  }

  /// Whether every golden case passed; without any there is no proof.
  func passes() throws -> Bool {
    let results = try selfTest()
    return !results.isEmpty && results.allSatisfy(\.passed)
  }
}
