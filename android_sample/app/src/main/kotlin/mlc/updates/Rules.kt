package mlc.updates

import java.security.MessageDigest
import org.json.JSONArray
import org.json.JSONException
import org.json.JSONObject

/*
 * What a device runs: the document of a channel and the pure rules over it.
 *
 * The same in every client; docs/channel.md of mlc explains them, docs/channel_vectors.json tests them.
 */

/** One file of a model: where it belongs in the bundle, and what its bytes are. */
data class ModelFile(val path: String, val sha256: String, val bytes: Long)

/** What one target downloads. [digest] names it; [contract] is the `interface` of code generated for it. */
data class Model(val artifact: String, val contract: String, val digest: String, val files: List<ModelFile>)

/** The model for a device, and of which release and variant it is. */
data class Choice(val version: String, val variant: String, val conditions: List<String>, val model: Model)

/**
 * What the rules may ask.
 *
 * @property os On Android its API level.
 * @property user Stays the same on this device: a random number made at the first start.
 * @property contract The `interface` of the app's generated code; null takes any.
 */
data class Device(
    val platform: String,
    val target: String,
    val app: String,
    val os: String,
    val user: String,
    val contract: String?,
)

/** The name of the only variant of a release. */
const val MAIN = "main"

private const val BUCKETS = 10_000

/** [share] of the 10000 buckets get these models. */
internal class Variant(val name: String, val share: Int, val targets: Map<String, Model>)

internal class Release(
    val version: String,
    val withdrawn: Boolean,
    val rollout: Int,
    val minimumApp: Map<String, String>,
    val belowApp: Map<String, String>,
    val minimumOs: Map<String, String>,
    val conditions: List<String>,
    val variants: List<Variant>,
)

/** models.json; releases stand newest first. */
class Models internal constructor(
    val name: String,
    val sequence: Long,
    val expires: String?,
    internal val releases: List<Release>,
) {
    /** The first release that is for the device; null means the model inside the app. */
    fun choose(device: Device): Choice? {
        val rollout = bucket(name, "rollout", device.user)
        val place = bucket(name, "variant", device.user)
        for (release in releases) {
            val variant = release.variantAt(place) ?: continue
            val model = variant.targets[device.target] ?: continue
            val fits = device.contract == null || device.contract == model.contract
            if (!release.withdrawn && release.admits(device) && rollout < release.rollout && fits) {
                return Choice(release.version, variant.name, release.conditions, model)
            }
        }
        return null
    }

    companion object {
        /** Reads models.json, and ignores properties that it does not know. Throws [JSONException]. */
        fun parse(text: String): Models {
            val json = JSONObject(text)
            require(json.whole("format") == 1L, "format")
            val expires = if (json.isNull("expires")) null else json.text("expires", DAY)
            val releases = json.objects("releases").map(::release)
            require(releases.isNotEmpty() && json.has("expires"), "releases")
            return Models(json.text("name", NAME), json.whole("sequence", from = 1), expires, releases)
        }
    }
}

/** Where a user stands, 0 to 9999: SHA-256 of `channel:purpose:user`, first four bytes, modulo 10000. */
fun bucket(channel: String, purpose: String, user: String): Int {
    val digest = MessageDigest.getInstance("SHA-256").digest("$channel:$purpose:$user".toByteArray())
    return (digest.take(4).fold(0L) { sum, byte -> sum * 256 + (byte.toInt() and 0xff) } % BUCKETS).toInt()
}

/** Whether [version] is [bound] or newer, number by number; what follows the leading numbers is ignored. */
fun isAtLeast(version: String, bound: String): Boolean {
    val ours = numbers(version)
    val theirs = numbers(bound)
    for (i in 0 until maxOf(ours.size, theirs.size)) {
        val order = ours.getOrElse(i) { 0L }.compareTo(theirs.getOrElse(i) { 0L })
        if (order != 0) return order > 0
    }
    return true
}

private fun numbers(version: String): List<Long> =
    version.takeWhile { it in '0'..'9' || it == '.' }.split('.').map { it.toLongOrNull() ?: 0L }

private fun Release.admits(device: Device): Boolean {
    val oldest = minimumApp[device.platform]
    val tooNew = belowApp[device.platform]
    val oldestOs = minimumOs[device.platform]
    return (oldest == null || isAtLeast(device.app, oldest)) &&
        (tooNew == null || !isAtLeast(device.app, tooNew)) &&
        (oldestOs == null || isAtLeast(device.os, oldestOs))
}

/** The shares lie end to end in the order of the document. */
private fun Release.variantAt(place: Int): Variant? {
    var end = 0
    return variants.firstOrNull { variant ->
        end += variant.share
        place < end
    }
}

private fun release(json: JSONObject) =
    Release(
        json.text("version", NAME),
        json.get("withdrawn") as? Boolean ?: wrong("withdrawn"),
        json.share("rollout"),
        json.bounds("minimum_app"),
        json.bounds("below_app"),
        json.bounds("minimum_os"),
        json.list("conditions").map { text(it, NAME, "conditions") },
        json.objects("variants").map(::variant).ifEmpty { wrong("variants") },
    )

private fun variant(json: JSONObject): Variant {
    val targets = json.getJSONObject("targets")
    val models = targets.keys().asSequence().associateWith { model(targets.getJSONObject(it)) }
    return Variant(json.text("name", NAME), json.share("share"), models)
}

internal fun model(json: JSONObject): Model {
    val files = json.objects("files").map {
        ModelFile(it.text("path", PATH), it.text("sha256", SHA256), it.whole("bytes"))
    }
    require(files.isNotEmpty(), "files")
    val contract = json.text("interface", SHA256)
    return Model(json.text("artifact", PATH), contract, json.text("digest", SHA256), files)
}

private val NAME = Regex("[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
private val SHA256 = Regex("[0-9a-f]{64}")
private val VERSION = Regex("[0-9]+(\\.[0-9]+)*")
private val DAY = Regex("[0-9]{4}-[0-9]{2}-[0-9]{2}")

/** Relative, and no part of it is empty or starts with a dot. */
private val PATH = "[^./\\\\\\x00-\\x1f][^/\\\\\\x00-\\x1f]*".let { Regex("$it(/$it)*") }

// JSONObject's own getters turn "3" into 3, and 3.5 too: a document is right or it is not.

private fun JSONObject.text(name: String, pattern: Regex) = text(get(name), pattern, name)

private fun text(value: Any?, pattern: Regex, name: String): String =
    (value as? String)?.takeIf(pattern::matches) ?: wrong(name)

private fun JSONObject.whole(name: String, from: Long = 0): Long {
    val value = get(name)
    require((value is Int || value is Long) && (value as Number).toLong() >= from, name)
    return (value as Number).toLong()
}

private fun JSONObject.share(name: String): Int =
    whole(name).also { require(it <= BUCKETS, name) }.toInt()

private fun JSONObject.list(name: String): List<Any> =
    getJSONArray(name).let { array: JSONArray -> List(array.length(), array::get) }

internal fun JSONObject.objects(name: String): List<JSONObject> =
    list(name).map { it as? JSONObject ?: wrong(name) }

private fun JSONObject.bounds(name: String): Map<String, String> {
    val bounds = getJSONObject(name)
    return bounds.keys().asSequence().associateWith { bounds.text(it, VERSION) }
}

private fun require(holds: Boolean, name: String) {
    if (!holds) wrong(name)
}

private fun wrong(name: String): Nothing = throw JSONException("$name is not valid")
