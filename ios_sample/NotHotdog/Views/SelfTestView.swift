import MLCBindings
import SwiftUI

/// The golden cases of the bundle, run on this device.
struct SelfTestView: View {
  @Environment(Recognition.self) private var recognition
  @State private var results = [CaseResult]()
  @State private var problem: String?
  @State private var isRunning = false

  var body: some View {
    List {
      Section {
        ForEach(results) { row($0) }
      } header: {
        Text(problem ?? summary)
      } footer: {
        Text("Inputs with the original network's outputs, preprocessed and run on this device.")
      }
      Button("Run again") { Task { await run() } }
        .disabled(isRunning)
    }
    .task { await run() }
  }

  private var summary: String {
    if isRunning { return "Running" }
    return "\(results.filter(\.passed).count) of \(results.count) passed"
  }

  private func row(_ result: CaseResult) -> some View {
    Label {
      VStack(alignment: .leading) {
        Text("Case \(result.name): \(result.passed ? "passed" : "failed")")
        Text(detail(result)).font(.footnote).foregroundStyle(.secondary)
      }
    } icon: {
      Image(systemName: result.passed ? "checkmark.circle.fill" : "xmark.octagon.fill")
        .foregroundStyle(result.passed ? .green : .red)
    }
    .accessibilityElement(children: .combine)
  }

  private func detail(_ result: CaseResult) -> String {
    if !result.passed { return result.reason }
    return result.outputs
      .map { "\($0.name) is off by \($0.error); allowed are \($0.tolerance)." }
      .joined(separator: " ")
  }

  private func run() async {
    isRunning = true
    defer { isRunning = false }
    (results, problem) = ([], nil)
    do {
      results = try await recognition.selfTest()
    } catch {
      problem = "It could not run: \(error)"
    }
  }
}
