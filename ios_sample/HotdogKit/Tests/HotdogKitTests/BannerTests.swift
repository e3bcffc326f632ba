import Testing

@testable import HotdogKit

@Suite struct BannerTests {
  @Test(arguments: ["hotdog", "hot_dog", "Hot Dog", "hotdog, hot dog, red hot", "chili-hot-dog"])
  func hotdogs(label: String) {
    #expect(Banner(best: label, among: ["pizza", label]) == .hotdog)
  }

  @Test(arguments: ["not_hotdog", "nothotdog", "Not hot dog", "no-hotdog", "non_hot_dog", "pizza"])
  func notHotdogs(label: String) {
    #expect(Banner(best: label, among: ["hot_dog", label]) == .notHotdog)
  }

  @Test func otherModelsGiveTheirLabel() {
    let banner = Banner(best: "daisy_flower", among: ["daisy_flower", "rose"])
    #expect(banner == .label("daisy flower"))
    #expect(banner.title == "daisy flower")
  }

  @Test func titlesAreThoseOfTheShow() {
    #expect(Banner.hotdog.title == "Hotdog!")
    #expect(Banner.notHotdog.title == "Not hotdog")
  }
}
