/** Where downloaded models live: files by path, each one whole or not there. */

import type { Bytes } from "./rules.js";

/** A place that survives a reload. Every `write` replaces the file in one step, or throws and changes nothing. */
export interface Storage {
  read(path: string): Promise<Bytes | null>;
  write(path: string, data: Bytes): Promise<void>;
  /** All paths. */
  list(): Promise<string[]>;
  remove(path: string): Promise<void>;
}

const FILES = "files";

/** Files in an IndexedDB database of that name; a transaction there is all or nothing. */
export async function openDatabase(name = "mlc-updates"): Promise<Storage> {
  const opening = indexedDB.open(name, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(FILES);
  const database = await settled(opening);
  const files = (mode: IDBTransactionMode) => database.transaction(FILES, mode).objectStore(FILES);
  return {
    read: async (path) => ((await settled(files("readonly").get(path))) as Bytes | undefined) ?? null,
    write: (path, data) => completed(files("readwrite").put(data, path)),
    list: async () => (await settled(files("readonly").getAllKeys())).map(String),
    remove: (path) => completed(files("readwrite").delete(path)),
  };
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** Written for good: a request may succeed and its transaction still fail, when the quota is used up. */
function completed(request: IDBRequest): Promise<void> {
  const transaction = request.transaction!;
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = transaction.onerror = () => reject(transaction.error ?? request.error);
  });
}
