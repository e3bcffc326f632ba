package mlc.bindings

import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.tensorflow.lite.DataType
import org.tensorflow.lite.Interpreter

/**
 * The TFLite artifact of a bundle in the interpreter.
 *
 * @param file The whole `.tflite` file: mapped, or a direct buffer.
 */
class TfliteRuntime(
    file: ByteBuffer,
    private val about: ModelDescription,
    options: Interpreter.Options = Interpreter.Options(),
) : ModelRuntime {
    private val interpreter = Interpreter(file, options)

    override fun run(inputs: Map<String, Tensor>): Map<String, Tensor> {
        val feeds = about.inputs.associate { spec ->
            val held = interpreter.getInputTensorFromSignature(spec.name, SIGNATURE)
            spec.name to buffer(inputs.getValue(spec.name), held)
        }
        val results = about.outputs.associate { spec ->
            val tensor = interpreter.getOutputTensorFromSignature(spec.name, SIGNATURE)
            spec.name to direct(tensor.numBytes())
        }
        interpreter.runSignature(feeds, results, SIGNATURE)
        return about.outputs.associate { spec ->
            val tensor = interpreter.getOutputTensorFromSignature(spec.name, SIGNATURE)
            spec.name to Tensor(floats(results.getValue(spec.name), tensor), tensor.shape().toList())
        }
    }

    override fun close() = interpreter.close()

    /** Real numbers as what the file holds: integers of its own scale where it was built with `--io`. */
    private fun buffer(tensor: Tensor, held: org.tensorflow.lite.Tensor): ByteBuffer {
        val type = held.dataType()
        val scale = scale(held)
        val buffer = direct(tensor.data.size * type.byteSize())
        for (value in tensor.data) {
            when (type) {
                DataType.FLOAT32 -> buffer.putFloat(value)
                DataType.INT32 -> buffer.putInt(value.toInt())
                DataType.INT64 -> buffer.putLong(value.toLong())
                DataType.UINT8, DataType.INT8 -> buffer.put(scale?.integer(value, type) ?: value.toInt().toByte())
                DataType.BOOL -> buffer.put((if (value != 0f) 1 else 0).toByte())
                else -> throw IllegalArgumentException("Inputs of type $type are not supported.")
            }
        }
        buffer.rewind()
        return buffer
    }

    private fun floats(buffer: ByteBuffer, held: org.tensorflow.lite.Tensor): FloatArray {
        val type = held.dataType()
        val scale = scale(held)
        buffer.rewind()
        return FloatArray(buffer.remaining() / type.byteSize()) {
            when (type) {
                DataType.FLOAT32 -> buffer.float
                DataType.INT32 -> buffer.int.toFloat()
                DataType.INT64 -> buffer.long.toFloat()
                DataType.UINT8 -> (buffer.get().toInt() and 0xFF).toFloat()
                DataType.INT8, DataType.BOOL -> buffer.get().toFloat()
                else -> throw IllegalArgumentException("Outputs of type $type are not supported.")
            }.let { scale?.real(it) ?: it }
        }
    }

    private fun direct(bytes: Int): ByteBuffer = ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder())

    /** How the integers of a quantized tensor stand for real numbers; null for any other tensor. */
    private fun scale(held: org.tensorflow.lite.Tensor): Scale? {
        if (held.dataType() != DataType.INT8 && held.dataType() != DataType.UINT8) return null
        val parameters = held.quantizationParams()
        return if (parameters.scale == 0f) null else Scale(parameters.scale, parameters.zeroPoint)
    }

    private class Scale(private val scale: Float, private val zeroPoint: Int) {
        fun real(integer: Float): Float = scale * (integer - zeroPoint)

        /** The nearest one, saturated. */
        fun integer(real: Float, type: DataType): Byte {
            val (least, most) = if (type == DataType.UINT8) 0f to 255f else -128f to 127f
            return (Math.rint((real / scale).toDouble()).toFloat() + zeroPoint).coerceIn(least, most).toInt().toByte()
        }
    }

    private companion object {
        const val SIGNATURE = "serving_default"
    }
}
