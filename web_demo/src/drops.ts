/** What is dropped on the page or pasted: a photo to look at, or the folder of a bundle. */

import type { App } from "./app.js";
import { Bundle, fromFiles } from "./bundle.js";

export function takeDrops(app: App): void {
  const over = (is: boolean) => document.body.classList.toggle("dropping", is);
  addEventListener("dragover", (event) => {
    event.preventDefault();
    over(true);
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) over(false);
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    if (event.dataTransfer) void take(app, event.dataTransfer);
  });
  addEventListener("paste", (event) => {
    if (event.clipboardData) void take(app, event.clipboardData);
  });
}

/** A folder is a bundle; else the first file is a photo. */
async function take(app: App, dropped: DataTransfer): Promise<void> {
  // Both must be asked for before anything is awaited: then the browser takes them away.
  const folder = [...dropped.items].map((item) => item.webkitGetAsEntry()).find((e) => e?.isDirectory);
  const [photo] = dropped.files;
  if (folder) {
    const files = await filesBelow(folder as FileSystemDirectoryEntry);
    await app.openBundle(() => Bundle.open(fromFiles(files)));
  } else if (photo) {
    await app.openPhoto(photo);
  }
}

async function filesBelow(folder: FileSystemDirectoryEntry): Promise<Map<string, File>> {
  const found = new Map<string, File>();
  const reader = folder.createReader();
  for (;;) {
    // A reader gives a part at a time, and an empty part at the end.
    const part = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (part.length === 0) return found;
    for (const entry of part) {
      if (entry.isDirectory) {
        for (const [path, file] of await filesBelow(entry as FileSystemDirectoryEntry)) {
          found.set(`${entry.name}/${path}`, file);
        }
      } else {
        found.set(entry.name, await fileOf(entry as FileSystemFileEntry));
      }
    }
  }
}

function fileOf(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

/** Files of `<input webkitdirectory>`, by path. */
export function filesOf(list: FileList): Map<string, File> {
  return new Map([...list].map((file) => [file.webkitRelativePath, file]));
}
