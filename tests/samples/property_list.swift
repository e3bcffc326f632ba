// What Apple's own parser reads in a project file, as JSON: `swiftc property_list.swift`, then FILE as argument.
import Foundation

let file = URL(fileURLWithPath: CommandLine.arguments[1])
let content = try PropertyListSerialization.propertyList(
  from: Data(contentsOf: file), options: [], format: nil)
FileHandle.standardOutput.write(try JSONSerialization.data(withJSONObject: content))
