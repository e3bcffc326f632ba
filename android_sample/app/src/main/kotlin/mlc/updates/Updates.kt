package mlc.updates

import java.io.ByteArrayOutputStream
import java.io.File
import java.io.IOException
import java.io.OutputStream
import java.net.HttpURLConnection
import java.net.URL
import java.nio.ByteBuffer
import java.nio.file.Files
import java.nio.file.StandardCopyOption
import java.security.MessageDigest
import java.time.LocalDate
import java.time.ZoneOffset
import java.util.Base64
import org.json.JSONArray
import org.json.JSONException
import org.json.JSONObject

/**
 * What an app has built in: where its channel is, what it is called, whose signature counts.
 *
 * @property keys Public keys, base64, as `mlc channel keygen` prints them; any one of them is enough.
 * @property bundled Version of the model inside the app: it is never downloaded.
 * @property patience Milliseconds without a byte after which a host counts as not there.
 */
class Channel(
    val url: String,
    val name: String,
    val keys: List<String>,
    val bundled: String,
    val patience: Int = 30_000,
)

/** Why a check changed nothing. */
enum class Reason {
    NETWORK,
    SIGNATURE,
    DOCUMENT,
    REPLAY,
    EXPIRED,
    DOWNLOAD,
    STORAGE,
    SELF_TEST,
    REJECTED,
}

/** How a check ended. `version` is what the device runs from now on; null is the model inside the app. */
sealed interface Outcome {
    val version: String?

    data class Updated(override val version: String?) : Outcome

    data class Current(override val version: String?) : Outcome

    /** There is a release, and [condition] does not hold. */
    data class Waiting(override val version: String?, val condition: String) : Outcome

    data class Failed(override val version: String?, val reason: Reason, val detail: String) : Outcome
}

/** Runs the golden cases of a model that is not yet in use; false or an exception keeps it out. */
fun interface SelfTest {
    fun passes(folder: File, choice: Choice): Boolean
}

/**
 * Over-the-air updates: keeps this device's model as its channel says, and changes nothing when anything is
 * wrong. The steps are those of docs/channel.md of mlc. No dependencies; Android 8 (API 26) or any JVM. It blocks,
 * so call it off the main thread.
 *
 * State: a [folder] that nobody else writes to, such as `File(context.filesDir, "updates")`.
 */
class Updates(private val channel: Channel, private val device: Device, private val folder: File) {
    private val stateFile = File(folder, "state.json")

    /** All that is remembered, in one file that is replaced in one step. */
    private data class State(
        val sequence: Long = 0,
        val etag: String? = null,
        val document: String? = null,
        val signature: String? = null,
        val current: Choice? = null,
        val previous: Choice? = null,
        val rejected: String? = null,
    )

    private class Stop(val reason: Reason, val detail: String) : Exception(detail)

    /**
     * The downloaded model to run; null is the one inside the app.
     *
     * The files are hashed again, and the interface compared with the app's, which may be newer: where the
     * current model is not usable, the previous one is taken, and then the one inside the app.
     */
    @Synchronized
    fun active(): Choice? {
        val state = load()
        if (state.current == null) return null
        return listOfNotNull(state.current, state.previous).firstOrNull(::isUsable)
    }

    /** Where the files of a downloaded model are. */
    fun folder(choice: Choice) = File(folder, "models/${choice.model.digest}")

    /** The active model does not work here: go back to the one before it, and do not take it again. */
    @Synchronized
    fun fallBack() {
        val bad = active() ?: return
        val state = load()
        val left = if (bad == state.current) state.previous else state.current
        save(state.copy(current = left, previous = null, rejected = bad.model.digest))
    }

    /** Asks the channel once; [conditions] are those that hold now, such as `wifi`. Never throws. */
    @Synchronized
    fun check(conditions: Set<String> = emptySet(), selfTest: SelfTest): Outcome {
        val active = active()
        return try {
            val wanted = wanted(fetch())
            when {
                wanted == null || wanted.model.digest == active?.model?.digest -> settle(wanted, active)
                wanted.model.digest == load().rejected ->
                    throw Stop(Reason.REJECTED, "Version ${wanted.version} failed here before.")
                else -> take(wanted, active, conditions, selfTest)
            }
        } catch (stop: Stop) {
            Outcome.Failed(active?.version, stop.reason, stop.detail)
        } catch (error: IOException) { // of the storage: those of the network are caught where they happen
            Outcome.Failed(active?.version, Reason.STORAGE, error.toString())
        }
    }

    /** The document, if it is signed, ours, and not older than what was seen. */
    private fun fetch(): Models {
        val state = load()
        val known = known(state)
        val (data, etag) = get("models.json", MOST_DOCUMENT, known?.let { state.etag })
            ?: Answer(known!!.document, state.etag)
        val signature =
            if (data === known?.document) known.signature
            else file("signatures/${sha256(data).hex()}", SIGNATURE_BYTES)
        if (!isSigned(signature, data)) {
            throw Stop(Reason.SIGNATURE, "models.json is not signed by a key that this app trusts.")
        }
        val text: String
        val models: Models
        try {
            text = Charsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(data)).toString()
            models = Models.parse(text)
        } catch (error: JSONException) {
            throw Stop(Reason.DOCUMENT, "models.json: ${error.message}.")
        } catch (error: CharacterCodingException) {
            throw Stop(Reason.DOCUMENT, "models.json is no text.")
        }
        if (models.name != channel.name) {
            throw Stop(Reason.DOCUMENT, "This is the channel of ${models.name}.")
        }
        if (models.sequence < state.sequence) {
            throw Stop(Reason.REPLAY, "Sequence ${models.sequence} came after ${state.sequence}.")
        }
        if (models.expires != null && models.expires < LocalDate.now(ZoneOffset.UTC).toString()) {
            throw Stop(Reason.EXPIRED, "models.json was to be used until ${models.expires}.")
        }
        val seen = state.copy(
            sequence = models.sequence,
            etag = etag,
            document = text,
            signature = Base64.getEncoder().encodeToString(signature),
        )
        if (seen != state) save(seen)
        return models
    }

    private class Signed(val document: ByteArray, val signature: ByteArray)

    /** The last document, if it is still what was signed: only then a 304 is of use. */
    private fun known(state: State): Signed? =
        try {
            val document = state.document.orEmpty().toByteArray()
            val signature = Base64.getDecoder().decode(state.signature.orEmpty())
            Signed(document, signature).takeIf { isSigned(signature, document) }
        } catch (_: IllegalArgumentException) { // no base64
            null
        }

    private fun isSigned(signature: ByteArray, data: ByteArray): Boolean =
        channel.keys.any { isSigned(it, signature, data) }

    private fun wanted(models: Models): Choice? =
        models.choose(device)?.takeUnless { it.variant == MAIN && it.version == channel.bundled }

    /** Nothing to download: the device has it, or returns to the model inside the app. */
    private fun settle(wanted: Choice?, active: Choice?): Outcome {
        val state = load()
        if (wanted == null && state.current != null) {
            save(state.copy(current = null, previous = state.current))
        } else if (wanted != null && wanted != state.current) {
            save(state.copy(current = wanted)) // the same files in another release
        }
        val returns = wanted == null && active != null
        return if (returns) Outcome.Updated(null) else Outcome.Current(wanted?.version)
    }

    private fun take(
        wanted: Choice,
        active: Choice?,
        conditions: Set<String>,
        selfTest: SelfTest,
    ): Outcome {
        val missing = missing(wanted)
        val unmet = wanted.conditions.firstOrNull { it !in conditions }
        if (missing.isNotEmpty() && unmet != null) return Outcome.Waiting(active?.version, unmet)
        try {
            missing.forEach { download(it, File(folder(wanted), it.path)) }
            test(wanted, selfTest)
            switch(wanted)
        } catch (error: IOException) { // the disk is full, perhaps: what was downloaded must not stay on it
            discard(wanted)
            throw error
        }
        return Outcome.Updated(wanted.version)
    }

    /** What must be downloaded; files that an installed model has too are copied. */
    private fun missing(wanted: Choice): List<ModelFile> {
        val state = load()
        val have = listOfNotNull(state.current, state.previous)
            .flatMap { choice -> choice.model.files.map { it.sha256 to File(folder(choice), it.path) } }
            .toMap()
        return wanted.model.files.filterNot { file ->
            val place = File(folder(wanted), file.path)
            val copy = have[file.sha256]
            when {
                isWhole(place, file) -> true
                copy != null && isWhole(copy, file) -> {
                    write(place) { out -> copy.inputStream().use { it.copyTo(out) } }
                    true
                }
                else -> false
            }
        }
    }

    private fun download(file: ModelFile, place: File) {
        val digest = MessageDigest.getInstance("SHA-256")
        var length = 0L
        write(place) { out ->
            stream("files/${file.sha256}", file.bytes, null) { buffer, count ->
                digest.update(buffer, 0, count)
                out.write(buffer, 0, count)
                length += count
            }
            if (length != file.bytes || digest.digest().hex() != file.sha256) {
                throw Stop(Reason.DOWNLOAD, "${file.path} arrived damaged.")
            }
        }
    }

    /** Golden self-test, noted as failed before it runs: what ends the app is not tried again. */
    private fun test(wanted: Choice, selfTest: SelfTest) {
        save(load().copy(rejected = wanted.model.digest))
        val problem = try {
            if (selfTest.passes(folder(wanted), wanted)) null else "its golden outputs differ."
        } catch (error: Exception) { // whatever the app's own code throws
            error.toString()
        }
        if (problem != null) {
            discard(wanted)
            throw Stop(Reason.SELF_TEST, "Version ${wanted.version}: $problem")
        }
    }

    /** One write makes the new model current; only then older ones than the previous go. */
    private fun switch(wanted: Choice) {
        val state = load()
        val again = state.current?.model?.digest == wanted.model.digest // it was damaged
        val previous = if (again) state.previous else state.current
        save(state.copy(current = wanted, previous = previous, rejected = null))
        File(folder, "models").listFiles().orEmpty()
            .filterNot { it.name in kept() }
            .forEach(File::deleteRecursively)
    }

    private fun discard(choice: Choice) {
        if (choice.model.digest !in kept()) folder(choice).deleteRecursively()
    }

    private fun kept(): Set<String> =
        load().run { listOfNotNull(current, previous) }.map { it.model.digest }.toSet()

    private data class Answer(val body: ByteArray, val etag: String?)

    private fun file(path: String, most: Long): ByteArray = get(path, most, null)!!.body

    private fun get(path: String, most: Long, etag: String?): Answer? {
        val body = ByteArrayOutputStream()
        var found: String? = null
        val modified = stream(path, most, etag, { found = it }) { buffer, count ->
            body.write(buffer, 0, count)
        }
        return if (modified) Answer(body.toByteArray(), found) else null
    }

    /**
     * Passes the body of a 200 on in pieces, never more than [most] bytes. False for a 304 to a known [etag].
     *
     * Only errors of the network become [Stop]: those of [sink] are the storage's.
     */
    private fun stream(
        path: String,
        most: Long,
        etag: String?,
        tag: (String?) -> Unit = {},
        sink: (ByteArray, Int) -> Unit,
    ): Boolean {
        val connection = online(path) { connect(path, etag) }
        try {
            val status = online(path) { connection.responseCode }
            if (status == HttpURLConnection.HTTP_NOT_MODIFIED && etag != null) return false
            if (status != HttpURLConnection.HTTP_OK) {
                throw Stop(Reason.NETWORK, "$path: status $status.")
            }
            tag(connection.getHeaderField("ETag"))
            val input = online(path) { connection.inputStream }
            val buffer = ByteArray(1 shl 16)
            var left = most
            while (true) {
                val count = online(path) { input.read(buffer) }
                if (count < 0) return true
                left -= count
                if (left < 0) throw Stop(Reason.NETWORK, "$path: too many bytes.")
                sink(buffer, count)
            }
        } finally {
            connection.disconnect()
        }
    }

    private fun connect(path: String, etag: String?): HttpURLConnection {
        val connection = URL("${channel.url.trimEnd('/')}/$path").openConnection() as HttpURLConnection
        connection.connectTimeout = channel.patience
        connection.readTimeout = channel.patience
        connection.useCaches = false
        // Android would ask for gzip, and then there is no telling how long the body must be.
        connection.setRequestProperty("Accept-Encoding", "identity")
        etag?.let { connection.setRequestProperty("If-None-Match", it) }
        return connection
    }

    private fun <T> online(path: String, action: () -> T): T =
        try {
            action()
        } catch (error: IOException) {
            throw Stop(Reason.NETWORK, "$path: $error.")
        } catch (error: SecurityException) { // an app without the INTERNET permission
            throw Stop(Reason.NETWORK, "$path: $error.")
        }

    private fun isUsable(choice: Choice): Boolean =
        (device.contract == null || device.contract == choice.model.contract) &&
            choice.model.files.all { isWhole(File(folder(choice), it.path), it) }

    /** What is remembered; nothing yet, or nothing legible, is a new start. */
    private fun load(): State =
        try {
            val json = JSONObject(stateFile.readText())
            State(
                json.getLong("sequence"),
                json.string("etag"),
                json.string("document"),
                json.string("signature"),
                json.choice("current"),
                json.choice("previous"),
                json.string("rejected"),
            )
        } catch (_: IOException) {
            State()
        } catch (_: JSONException) {
            State()
        }

    private fun save(state: State) {
        val json = JSONObject()
            .put("sequence", state.sequence)
            .put("etag", state.etag)
            .put("document", state.document)
            .put("signature", state.signature)
            .put("current", state.current?.let(::json))
            .put("previous", state.previous?.let(::json))
            .put("rejected", state.rejected)
        write(stateFile) { it.write(json.toString().toByteArray()) }
    }

    /** Writes aside, flushes to the disk, renames: the file is whole or not there. */
    private fun write(place: File, content: (OutputStream) -> Unit) {
        place.parentFile!!.mkdirs()
        val aside = File(place.path + ".part")
        try {
            aside.outputStream().use { out ->
                content(out)
                out.fd.sync()
            }
            Files.move(aside.toPath(), place.toPath(), StandardCopyOption.ATOMIC_MOVE)
        } finally {
            aside.delete()
        }
    }
}

private const val MOST_DOCUMENT = 1L shl 20
private const val SIGNATURE_BYTES = 64L

private fun isSigned(key: String, signature: ByteArray, data: ByteArray): Boolean =
    try {
        Ed25519.verifies(Base64.getDecoder().decode(key), signature, data)
    } catch (_: IllegalArgumentException) { // no base64
        false
    }

private fun isWhole(place: File, file: ModelFile): Boolean =
    try {
        val digest = MessageDigest.getInstance("SHA-256")
        place.inputStream().use { input ->
            val buffer = ByteArray(1 shl 16)
            generateSequence { input.read(buffer) }.takeWhile { it >= 0 }.forEach { digest.update(buffer, 0, it) }
        }
        digest.digest().hex() == file.sha256
    } catch (_: IOException) {
        false
    }

private fun sha256(data: ByteArray): ByteArray = MessageDigest.getInstance("SHA-256").digest(data)

private fun ByteArray.hex(): String = joinToString("") { "%02x".format(it) }

private fun JSONObject.string(name: String): String? = if (isNull(name)) null else getString(name)

private fun JSONObject.choice(name: String): Choice? {
    if (isNull(name)) return null
    val json = getJSONObject(name)
    val conditions = json.getJSONArray("conditions").let { List(it.length(), it::getString) }
    return Choice(json.getString("version"), json.getString("variant"), conditions, model(json.getJSONObject("model")))
}

private fun json(choice: Choice): JSONObject {
    val files = choice.model.files.map {
        JSONObject().put("path", it.path).put("sha256", it.sha256).put("bytes", it.bytes)
    }
    val model = JSONObject()
        .put("artifact", choice.model.artifact)
        .put("interface", choice.model.contract)
        .put("digest", choice.model.digest)
        .put("files", JSONArray(files))
    return JSONObject()
        .put("version", choice.version)
        .put("variant", choice.variant)
        .put("conditions", JSONArray(choice.conditions))
        .put("model", model)
}
