import SwiftUI

/// https://developer.apple.com/documentation/photosui/phpickerfilter-swift.struct
public struct PHPickerFilter: Sendable {
  /// https://developer.apple.com/documentation/photosui/phpickerfilter-swift.struct/images
  public static let images = PHPickerFilter()
}

/// https://developer.apple.com/documentation/photosui/photospickeritem
public struct PhotosPickerItem: Equatable, Hashable, Sendable {
  /// https://developer.apple.com/documentation/photosui/photospickeritem/encodingdisambiguationpolicy
  public struct EncodingDisambiguationPolicy: Sendable {
    public static let automatic = EncodingDisambiguationPolicy()
  }

  /// https://developer.apple.com/documentation/photosui/photospickeritem/loadtransferable(type:)
  public func loadTransferable<T: Transferable>(type: T.Type) async throws -> T? { fatalError() }
}

/// https://developer.apple.com/documentation/photosui/photospicker
@MainActor @preconcurrency
public struct PhotosPicker<Label: View>: View {
  public var body: Never { fatalError() }
}

extension PhotosPicker where Label == Text {
  /// https://developer.apple.com/documentation/photosui/photospicker/init(_:selection:matching:preferreditemencoding:)
  nonisolated public init(
    _ titleKey: LocalizedStringKey, selection: Binding<PhotosPickerItem?>,
    matching filter: PHPickerFilter? = nil,
    preferredItemEncoding: PhotosPickerItem.EncodingDisambiguationPolicy = .automatic
  ) {}
}
