import Foundation

/// https://developer.apple.com/documentation/network/nwinterface
public final class NWInterface: Sendable {
  /// https://developer.apple.com/documentation/network/nwinterface/interfacetype
  public enum InterfaceType: Sendable {
    case other, wifi, cellular, wiredEthernet, loopback
  }
}

/// https://developer.apple.com/documentation/network/nwpath
public struct NWPath: Sendable {
  /// https://developer.apple.com/documentation/network/nwpath/isexpensive
  public var isExpensive: Bool { fatalError() }

  /// https://developer.apple.com/documentation/network/nwpath/usesinterfacetype(_:)
  public func usesInterfaceType(_ type: NWInterface.InterfaceType) -> Bool { fatalError() }
}

/// https://developer.apple.com/documentation/network/nwpathmonitor
public final class NWPathMonitor: AsyncSequence, Sendable {
  public typealias Element = NWPath

  /// https://developer.apple.com/documentation/network/nwpathmonitor/init()
  public init() {}

  /// https://developer.apple.com/documentation/network/nwpathmonitor/iterator
  public struct Iterator: AsyncIteratorProtocol {
    public mutating func next() async -> NWPath? { fatalError() }
  }

  /// https://developer.apple.com/documentation/network/nwpathmonitor/makeasynciterator()
  public func makeAsyncIterator() -> Iterator { Iterator() }
}
