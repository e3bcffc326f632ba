package mlc.bindings

import org.json.JSONArray
import org.json.JSONObject

/**
 * Reads a bundle's `manifest.json` at run time, for apps that take any bundle.
 *
 * Throws [IllegalArgumentException] where it is of another format or has no TFLite artifact,
 * [org.json.JSONException] where something is missing.
 */
fun describe(manifest: JSONObject): ModelDescription {
    require(manifest.getInt("format") == 1) { "This is no manifest of an mlc bundle of format 1." }
    val model = manifest.getJSONObject("model")
    return ModelDescription(
        name = model.getString("name"),
        version = model.getString("version"),
        source = manifest.getJSONObject("source").getString("sha256"),
        interfaceDigest = manifest.getString("interface"),
        artifact = artifact(manifest.getJSONArray("artifacts").objects()),
        inputs = manifest.getJSONArray("inputs").objects().map(::tensorSpec),
        outputs = manifest.getJSONArray("outputs").objects().map(::tensorSpec),
        preprocessing = manifest.optJSONObject("picture")?.let(::preprocessing),
        classifier = manifest.optJSONObject("classifier")?.let(::classifier),
    )
}

private fun artifact(artifacts: List<JSONObject>): Artifact {
    val found = artifacts.firstOrNull { it.getString("target") == "tflite" && it.getString("state") != "failed" }
    requireNotNull(found) { "This bundle has no TFLite artifact." }
    return Artifact(found.getString("file"), found.getString("sha256"), found.getLong("bytes"))
}

private fun tensorSpec(row: JSONObject): TensorSpec {
    val shape = row.getJSONArray("shape")
    val dimensions = List(shape.length()) { if (shape.isNull(it)) null else shape.getInt(it) }
    return TensorSpec(row.getString("name"), dimensions, row.getString("dtype"))
}

private fun preprocessing(picture: JSONObject) = Preprocessing(
    width = picture.getInt("width"),
    height = picture.getInt("height"),
    color = ColorOrder.valueOf(picture.getString("color").uppercase()),
    resize = ResizeRule.valueOf(picture.getString("resize").uppercase()),
    cropFraction = picture.getDouble("crop_fraction"),
    scale = picture.getDouble("scale").toFloat(),
    mean = picture.getJSONArray("mean").floats(),
    std = picture.getJSONArray("std").floats(),
)

private fun classifier(row: JSONObject): Classifier {
    val labels = row.getJSONArray("labels")
    val scores = Scores.valueOf(row.getString("scores").uppercase())
    return Classifier(row.getString("output"), scores, List(labels.length(), labels::getString))
}

internal fun JSONArray.objects(): List<JSONObject> = List(length(), ::getJSONObject)

private fun JSONArray.floats(): List<Float> = List(length()) { getDouble(it).toFloat() }
