/** The Kotlin client behind the protocol of tests/channel/driver.py. */

import java.io.File
import java.util.Base64
import kotlin.system.exitProcess
import mlc.updates.Channel
import mlc.updates.Device
import mlc.updates.Ed25519
import mlc.updates.Models
import mlc.updates.Outcome
import mlc.updates.Updates
import mlc.updates.bucket
import mlc.updates.isAtLeast
import org.json.JSONObject

fun main() {
    generateSequence(::readLine).forEach { println(answer(JSONObject(it))) }
}

private fun answer(ask: JSONObject): JSONObject =
    when (ask.getString("do")) {
        "bucket" -> {
            val (channel, purpose, user) = listOf("channel", "purpose", "user").map(ask::getString)
            JSONObject().put("bucket", bucket(channel, purpose, user))
        }
        "at_least" ->
            JSONObject().put("at_least", isAtLeast(ask.getString("version"), ask.getString("bound")))
        "choose" -> {
            val models = Models.parse(ask.getJSONObject("models").toString())
            val found = models.choose(device(ask))
            named("version" to found?.version, "variant" to found?.variant, "digest" to found?.model?.digest)
        }
        "verifies" -> {
            val (key, signature, data) =
                listOf("key", "signature", "data").map { Base64.getDecoder().decode(ask.getString(it)) }
            JSONObject().put("verifies", Ed25519.verifies(key, signature, data))
        }
        else -> onDevice(ask)
    }

private fun onDevice(ask: JSONObject): JSONObject {
    val keys = ask.getJSONArray("keys").map { it as String }
    val patience = (ask.getDouble("timeout") * 1000).toInt()
    val channel =
        Channel(ask.getString("url"), ask.getString("name"), keys, ask.getString("bundled"), patience)
    val updates = Updates(channel, device(ask), File(ask.getString("folder")))
    val result =
        when (ask.getString("do")) {
            "check" -> {
                val conditions = ask.getJSONArray("conditions").map { it as String }.toSet()
                told(updates.check(conditions) { _, _ -> selfTest(ask.getString("self_test")) })
            }
            "fall_back" -> JSONObject().also { updates.fallBack() }
            else -> JSONObject()
        }
    val active = updates.active()
    return result
        .put("active", active?.version ?: JSONObject.NULL)
        .put("folder", active?.let { updates.folder(it).path } ?: JSONObject.NULL)
}

private fun selfTest(how: String): Boolean {
    if (how == "exit") exitProcess(3)
    if (how == "throw") throw IllegalStateException("no such op")
    return how == "pass"
}

private fun told(outcome: Outcome): JSONObject {
    val (kind, reason) =
        when (outcome) {
            is Outcome.Updated -> "updated" to ""
            is Outcome.Current -> "current" to ""
            is Outcome.Waiting -> "waiting" to outcome.condition
            is Outcome.Failed -> "failed" to outcome.reason.name.lowercase().replace('_', '-')
        }
    return named("kind" to kind, "reason" to reason, "version" to outcome.version)
}

private fun device(ask: JSONObject): Device {
    val json = ask.getJSONObject("device")
    val (platform, target, app, os, user) =
        listOf("platform", "target", "app", "os", "user").map(json::getString)
    return Device(platform, target, app, os, user, json.optString("interface").ifEmpty { null })
}

private fun named(vararg fields: Pair<String, String?>): JSONObject =
    fields.fold(JSONObject()) { json, (name, value) -> json.put(name, value ?: JSONObject.NULL) }
