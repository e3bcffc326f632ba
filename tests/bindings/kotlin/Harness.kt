// Sits the exam of ../exam.py: Harness FOLDER

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import mlc.bindings.CaseResult
import mlc.bindings.Classifier
import mlc.bindings.ColorOrder
import mlc.bindings.Golden
import mlc.bindings.Model
import mlc.bindings.ModelDescription
import mlc.bindings.ModelModel
import mlc.bindings.ModelRuntime
import mlc.bindings.Pixels
import mlc.bindings.Plane
import mlc.bindings.Preprocessing
import mlc.bindings.ResizeRule
import mlc.bindings.Scores
import mlc.bindings.Tensor
import mlc.bindings.YuvFrame
import mlc.bindings.describe
import org.json.JSONArray
import org.json.JSONObject

fun main(arguments: Array<String>) {
    val folder = File(arguments[0])
    val exam = JSONObject(File(folder, "exam.json").readText())
    val manifest = JSONObject(File(exam.getString("dist"), "manifest.json").readText())
    check(facts(describe(manifest)) == facts(ModelModel.description)) { "The manifest tells something else." }
    exam.rows("pixels").forEachIndexed { k, row -> preprocess(folder, k, row) }
    val answers = JSONObject()
        .put("scores", exam.rows("scores").map(::top))
        .put("golden", exam.rows("faults").map { golden(exam.getString("dist"), it) })
        .put("yuv", rgb(frame(exam.getJSONObject("yuv")).pixels()))
        .put("turned", rgb(frame(exam.getJSONObject("yuv")).pixels(rotation = 90)))
    File(folder, "answers.json").writeText(answers.toString())
}

/** All that an app is told, in a form that can be compared. */
private fun facts(about: ModelDescription) = with(about) {
    listOf(
        listOf(name, version, source, interfaceDigest),
        listOf(artifact.file, artifact.sha256, artifact.bytes),
        (inputs + outputs).map { listOf(it.name, it.shape, it.dtype) },
        preprocessing?.run { listOf(shape, color, resize, cropFraction, scale, mean, std) },
        classifier?.run { listOf(output, labels, probabilities(mapOf(output to scores)).toList()) },
    )
}

private val scores = Tensor(floatArrayOf(0.2f, 0.3f, 0.5f), listOf(1, 3))

private fun preprocess(folder: File, k: Int, row: JSONObject) {
    val how = Preprocessing(
        row.getInt("width"),
        row.getInt("height"),
        ColorOrder.valueOf(row.getString("color").uppercase()),
        ResizeRule.valueOf(row.getString("resize").uppercase()),
        row.getDouble("crop_fraction"),
        row.getFloat("scale"),
        row.getJSONArray("mean").map { (it as Number).toFloat() },
        row.getJSONArray("std").map { (it as Number).toFloat() },
    )
    val pixels = pixels(row.getInt("pictureWidth"), row.getInt("pictureHeight"), File(folder, "$k.rgba").readBytes())
    File(folder, "$k.fit").writeBytes(how.fit(pixels))
    val tensor = how.tensor(pixels)
    check(tensor.shape == how.shape)
    val bytes = ByteBuffer.allocate(4 * tensor.data.size).order(ByteOrder.LITTLE_ENDIAN)
    bytes.asFloatBuffer().put(tensor.data)
    File(folder, "$k.tensor").writeBytes(bytes.array())
}

private fun top(row: JSONObject): List<JSONObject> {
    val labels = row.getJSONArray("labels").map { it as String }
    val classifier = Classifier("scores", Scores.valueOf(row.getString("kind").uppercase()), labels)
    val scores = row.getJSONArray("scores").map { (it as Number).toFloat() }.toFloatArray()
    val outputs = mapOf("scores" to Tensor(scores, listOf(1, scores.size)))
    return classifier.topK(classifier.probabilities(outputs), row.getInt("k")).map {
        JSONObject().put("label", it.label).put("index", it.index).put("probability", it.probability)
    }
}

private class Means(private val offset: Float) : ModelRuntime {
    override fun run(inputs: Map<String, Tensor>): Map<String, Tensor> {
        val image = inputs.getValue("image").data
        val sums = DoubleArray(3)
        image.forEachIndexed { i, value -> sums[i % 3] += value.toDouble() }
        return mapOf("scores" to Tensor(FloatArray(3) { (3 * sums[it] / image.size).toFloat() + offset }, listOf(1, 3)))
    }

    override fun close() = Unit
}

private fun golden(dist: String, fault: JSONObject): List<JSONObject> {
    val golden = Golden.read(
        read = { File(dist, it.replace(".png", ".rgba")).readBytes() },
        decode = { decoded ->
            // Python did: width, height, pixels.
            val size = ByteBuffer.wrap(decoded).order(ByteOrder.LITTLE_ENDIAN)
            val picture = pixels(size.int, size.int, decoded.copyOfRange(8, decoded.size))
            if (fault.getBoolean("mirrored")) mirrored(picture) else picture
        },
    )
    val model = Model(ModelModel.description, Means(fault.getFloat("offset")))
    return model.use { golden.test(it) }.map(::json)
}

private fun json(result: CaseResult) = JSONObject()
    .put("passed", result.passed)
    .put("reason", result.reason)
    .put("expected", result.expected)
    .put("pixelError", result.pixelError)

private fun frame(row: JSONObject): YuvFrame {
    val width = row.getInt("width")
    val y = row.getJSONArray("y").bytes()
    // Chroma as cameras often give it: u and v interleaved, so each is seen with a pixel stride of 2.
    val (u, v) = row.getJSONArray("u").bytes() to row.getJSONArray("v").bytes()
    val both = ByteArray(2 * u.size) { if (it % 2 == 0) u[it / 2] else v[it / 2] }
    val red = ByteBuffer.wrap(both, 1, both.size - 1).slice()
    return YuvFrame(
        width,
        row.getInt("height"),
        Plane(ByteBuffer.wrap(y), width, 1),
        Plane(ByteBuffer.wrap(both), width, 2),
        Plane(red, width, 2),
    )
}

private fun pixels(width: Int, height: Int, rgba: ByteArray): Pixels {
    fun at(i: Int) = rgba[i].toInt() and 0xFF
    return Pixels(width, height, IntArray(width * height) { at(4 * it) shl 16 or (at(4 * it + 1) shl 8) or at(4 * it + 2) })
}

private fun mirrored(picture: Pixels): Pixels {
    val (width, height) = picture.width to picture.height
    val turned = IntArray(width * height) { picture.argb[it / width * width + width - 1 - it % width] }
    return Pixels(width, height, turned)
}

private fun rgb(pixels: Pixels) = pixels.argb.flatMap { listOf(it shr 16 and 0xFF, it shr 8 and 0xFF, it and 0xFF) }

private fun JSONObject.rows(name: String) = getJSONArray(name).map { it as JSONObject }

private fun JSONArray.bytes(): ByteArray =
    flatMap { row -> (row as JSONArray).map { (it as Number).toByte() } }.toByteArray()
