import HotdogKit
import MLCBindings
import SwiftUI

/// The most probable labels with bars, and how long it took.
struct AnswerView: View {
  let answer: Answer

  var body: some View {
    VStack(alignment: .leading) {
      ForEach(answer.predictions) { prediction in
        ProgressView(value: Double(prediction.probability)) {
          HStack {
            Text(readable(prediction.label))
            Spacer()
            Text(percent(prediction.probability)).monospacedDigit()
          }
        }
        .accessibilityElement(children: .ignore)
        .accessibilityLabel(readable(prediction.label))
        .accessibilityValue(percent(prediction.probability))
      }
      Text("\(milliseconds(answer.duration)) per prediction")
        .font(.footnote.monospacedDigit())
        .foregroundStyle(.secondary)
    }
    .padding()
    .background(.regularMaterial)
  }
}
