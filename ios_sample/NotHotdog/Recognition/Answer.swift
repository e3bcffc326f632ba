import HotdogKit
import MLCBindings

/// What the model says to a picture.
struct Answer: Sendable {
  /// Best first; never empty.
  let predictions: [Prediction]
  /// Of preprocessing and network.
  let duration: Duration
  let banner: Banner

  var shareText: String {
    HotdogKit.shareText(banner, probability: predictions[0].probability)
  }
}
