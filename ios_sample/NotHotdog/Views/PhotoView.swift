import HotdogKit
import MLCBindings
import PhotosUI
import SwiftUI

/// A photo from the library, and what the model says to it.
struct PhotoView: View {
  @Environment(Recognition.self) private var recognition
  @State private var item: PhotosPickerItem?
  @State private var photo: UIImage?
  @State private var answer: Answer?
  @State private var problem: String?

  var body: some View {
    VStack {
      if let answer { BannerView(banner: answer.banner) }
      if let photo {
        Image(uiImage: photo)
          .resizable()
          .scaledToFit()
          .accessibilityLabel("The chosen photo")
      } else {
        ContentUnavailableView(
          "No photo", systemImage: "photo.on.rectangle",
          description: Text(problem ?? "Choose one to ask the model."))
      }
      Spacer()
      if let answer { AnswerView(answer: answer) }
      HStack {
        PhotosPicker("Choose a photo", selection: $item, matching: .images)
        if let photo, let answer {
          let picture = Image(uiImage: photo)
          ShareLink(
            item: picture, message: Text(answer.shareText),
            preview: SharePreview(answer.shareText, image: picture))
        }
      }
      .buttonStyle(.borderedProminent)
      .padding()
    }
    .task(id: item) { await look() }
  }

  private func look() async {
    guard let item else { return }
    (photo, answer, problem) = (nil, nil, nil)
    do {
      guard let data = try await item.loadTransferable(type: Data.self),
        let image = UIImage(data: data)
      else { throw ModelError("This is no picture.") }
      photo = image
      answer = try await recognition.answer(to: Pixels(image))
    } catch {
      (photo, problem) = (nil, "\(error)")
    }
  }
}
