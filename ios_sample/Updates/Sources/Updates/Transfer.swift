import Foundation

#if canImport(FoundationNetworking)
  import FoundationNetworking
#endif

/// One GET whose body is handed on in pieces. State: how much came; touched on the session's queue only.
final class Transfer: NSObject, URLSessionDataDelegate, @unchecked Sendable {
  private let most: Int64
  private let sink: (Data) throws -> Void
  private var received: Int64 = 0
  private var failure: (any Error)?
  private var finished: CheckedContinuation<HTTPURLResponse, any Error>?

  private init(most: Int64, sink: @escaping (Data) throws -> Void) {
    self.most = most
    self.sink = sink
  }

  /// Give the body of a 200 to `sink`, never more than `most` bytes; returns the head of any answer.
  ///
  /// What the network does wrong is thrown as `Stop`, what `sink` throws as it is.
  static func get(
    _ request: URLRequest, most: Int64, patience: TimeInterval,
    sink: @escaping (Data) throws -> Void
  ) async throws -> HTTPURLResponse {
    let configuration = URLSessionConfiguration.ephemeral
    configuration.urlCache = nil
    configuration.timeoutIntervalForRequest = patience
    let transfer = Transfer(most: most, sink: sink)
    let session = URLSession(configuration: configuration, delegate: transfer, delegateQueue: nil)
    defer { session.finishTasksAndInvalidate() }
    return try await withCheckedThrowingContinuation { continuation in
      transfer.finished = continuation
      session.dataTask(with: request).resume()
    }
  }

  func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
    guard failure == nil, (dataTask.response as? HTTPURLResponse)?.statusCode == 200 else { return }
    received += Int64(data.count)
    do {
      if received > most { throw Stop(.network, "too many bytes") }
      try sink(data)
    } catch {
      failure = error
      dataTask.cancel()
    }
  }

  func urlSession(
    _ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?
  ) {
    if let failure {
      finished?.resume(throwing: failure)
    } else if let response = task.response as? HTTPURLResponse, error == nil {
      finished?.resume(returning: response)
    } else {
      finished?.resume(throwing: Stop(.network, error?.localizedDescription ?? "no answer"))
    }
    finished = nil
  }
}
