import HotdogKit
import SwiftUI

/// The big answer, as in the show: green for a hot dog, red for anything else.
struct BannerView: View {
  let banner: Banner

  var body: some View {
    Label(banner.title, systemImage: symbol)
      .font(.largeTitle.weight(.black))
      .foregroundStyle(.white)
      .padding()
      .frame(maxWidth: .infinity)
      .background(color)
      .accessibilityLabel(banner.title)
      .accessibilityAddTraits(.updatesFrequently)
  }

  private var symbol: String {
    switch banner {
    case .hotdog: "checkmark.circle.fill"
    case .notHotdog: "xmark.circle.fill"
    case .label: "tag.circle.fill"
    }
  }

  private var color: Color {
    switch banner {
    case .hotdog: .green
    case .notHotdog: .red
    case .label: .blue
    }
  }
}
