import HotdogKit
import SwiftUI

/// What the camera sees, and what the model says to it.
struct CameraView: View {
  @Environment(Recognition.self) private var recognition
  @AppStorage("framesPerSecond") private var framesPerSecond = 10.0
  @State private var camera = Camera()
  @State private var answer: Answer?
  @State private var problem: String?

  var body: some View {
    ZStack {
      CameraPreview(session: camera.session)
        .ignoresSafeArea()
        .accessibilityLabel("Camera picture")
      if let problem {
        ContentUnavailableView(
          "No camera picture", systemImage: "video.slash", description: Text(problem))
      }
      VStack(spacing: 0) {
        if let answer { BannerView(banner: answer.banner) }
        Spacer()
        if let answer {
          AnswerView(answer: answer)
          ShareLink(item: answer.shareText)
            .padding()
            .frame(maxWidth: .infinity)
            .background(.regularMaterial)
        }
        frameRate
      }
    }
    .task { await watch() }
    .onChange(of: framesPerSecond, initial: true) { camera.limit(framesPerSecond) }
  }

  private var frameRate: some View {
    Slider(value: $framesPerSecond, in: 1...30, step: 1) {
      Text("Frames per second")
    } minimumValueLabel: {
      Text("1")
    } maximumValueLabel: {
      Text("30")
    }
    .accessibilityValue("at most \(Int(framesPerSecond)) frames per second")
    .padding()
    .background(.regularMaterial)
  }

  /// Until the view goes: then the task is cancelled, and the camera stops.
  private func watch() async {
    problem = nil
    do {
      for try await frame in try await camera.frames() {
        answer = try await recognition.answer(to: frame)
        camera.frameIsDone()
      }
    } catch {
      answer = nil
      problem = "\(error)"
    }
  }
}
