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
            val type = interpreter.getInputTensorFromSignature(spec.name, SIGNATURE).dataType()
            spec.name to buffer(inputs.getValue(spec.name), type)
        }
        val results = about.outputs.associate { spec ->
            val tensor = interpreter.getOutputTensorFromSignature(spec.name, SIGNATURE)
            spec.name to direct(tensor.numBytes())
        }
        interpreter.runSignature(feeds, results, SIGNATURE)
        return about.outputs.associate { spec ->
            val tensor = interpreter.getOutputTensorFromSignature(spec.name, SIGNATURE)
            spec.name to Tensor(floats(results.getValue(spec.name), tensor.dataType()), tensor.shape().toList())
        }
    }

    override fun close() = interpreter.close()

    private fun buffer(tensor: Tensor, type: DataType): ByteBuffer {
        val buffer = direct(tensor.data.size * type.byteSize())
        for (value in tensor.data) {
            when (type) {
                DataType.FLOAT32 -> buffer.putFloat(value)
                DataType.INT32 -> buffer.putInt(value.toInt())
                DataType.INT64 -> buffer.putLong(value.toLong())
                DataType.UINT8, DataType.INT8 -> buffer.put(value.toInt().toByte())
                DataType.BOOL -> buffer.put((if (value != 0f) 1 else 0).toByte())
                else -> throw IllegalArgumentException("Inputs of type $type are not supported.")
            }
        }
        buffer.rewind()
        return buffer
    }

    private fun floats(buffer: ByteBuffer, type: DataType): FloatArray {
        buffer.rewind()
        return FloatArray(buffer.remaining() / type.byteSize()) {
            when (type) {
                DataType.FLOAT32 -> buffer.float
                DataType.INT32 -> buffer.int.toFloat()
                DataType.INT64 -> buffer.long.toFloat()
                DataType.UINT8 -> (buffer.get().toInt() and 0xFF).toFloat()
                DataType.INT8, DataType.BOOL -> buffer.get().toFloat()
                else -> throw IllegalArgumentException("Outputs of type $type are not supported.")
            }
        }
    }

    private fun direct(bytes: Int): ByteBuffer = ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder())

    private companion object {
        const val SIGNATURE = "serving_default"
    }
}
