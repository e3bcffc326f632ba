import SwiftUI

@main
struct NotHotdogApp: App {
  @State private var recognition = Recognition()

  var body: some Scene {
    WindowGroup {
      RootView()
        .environment(recognition)
        .task { await recognition.start() }
    }
  }
}
