import SwiftUI

/// The four screens, as soon as there is a model.
struct RootView: View {
  @Environment(Recognition.self) private var recognition

  var body: some View {
    switch recognition.state {
    case .loading:
      ProgressView("Loading the model")
    case .failed(let reason):
      ContentUnavailableView(
        "No model", systemImage: "exclamationmark.triangle", description: Text(reason))
    case .ready:
      TabView {
        CameraView().tabItem { Label("Camera", systemImage: "camera") }
        PhotoView().tabItem { Label("Photo", systemImage: "photo") }
        SelfTestView().tabItem { Label("Self-test", systemImage: "checklist") }
        ModelView().tabItem { Label("Model", systemImage: "shippingbox") }
      }
    }
  }
}
