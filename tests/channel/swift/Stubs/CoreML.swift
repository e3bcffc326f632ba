// What Updates uses of Core ML, to check its types where there is no Xcode.
import Foundation

/// https://developer.apple.com/documentation/coreml/mlmodel
public class MLModel: NSObject {
  public class func compileModel(at modelURL: URL) async throws -> URL {
    throw CocoaError(.featureUnsupported)
  }
}
