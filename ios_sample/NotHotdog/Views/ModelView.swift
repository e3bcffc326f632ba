import SwiftUI

/// Which model is in use, and whether there is a newer one.
struct ModelView: View {
  @Environment(Recognition.self) private var recognition
  @State private var isChecking = false
  @State private var outcome: String?

  var body: some View {
    Form {
      Section("In use") {
        LabeledContent("Model", value: recognition.name)
        LabeledContent("Version", value: recognition.version)
        LabeledContent("From", value: recognition.isDownloaded ? "the channel" : "the app")
      }
      Section {
        Button("Check for updates") { Task { await check() } }
          .disabled(isChecking || !recognition.hasChannel)
        if isChecking { ProgressView() }
        if let outcome { Text(outcome) }
      } footer: {
        if !recognition.hasChannel {
          Text("This app has no channel: see ModelChannel in Info.plist.")
        }
      }
      if !recognition.problems.isEmpty {
        Section("What went wrong") {
          ForEach(recognition.problems, id: \.self) { Text($0) }
        }
      }
    }
  }

  private func check() async {
    isChecking = true
    defer { isChecking = false }
    outcome = await recognition.checkForUpdate()
  }
}
