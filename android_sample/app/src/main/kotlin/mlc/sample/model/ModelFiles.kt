package mlc.sample.model

import java.io.File
import java.nio.ByteBuffer
import java.nio.channels.FileChannel

/** The files of one model by their paths in the bundle: the artifact, `manifest.json`, the golden cases. */
interface ModelFiles {
    /** Throws [java.io.IOException] where there is no such file. */
    fun read(path: String): ByteArray

    /** The whole file as the interpreter wants it: outside the heap. Throws like [read]. */
    fun map(path: String): ByteBuffer
}

/** A model that was downloaded. */
class FolderFiles(private val folder: File) : ModelFiles {
    override fun read(path: String): ByteArray = File(folder, path).readBytes()

    override fun map(path: String): ByteBuffer = File(folder, path).inputStream().use {
        it.channel.map(FileChannel.MapMode.READ_ONLY, 0, it.channel.size())
    }
}
