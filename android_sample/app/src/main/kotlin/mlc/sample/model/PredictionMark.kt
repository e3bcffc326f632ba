package mlc.sample.model

import java.io.File

/**
 * A file that is there while a downloaded model makes its first prediction.
 *
 * Found at the start of the app, it says that the model took the app down: a self-test cannot.
 */
class PredictionMark(private val file: File) {
    val isLeft: Boolean get() = file.exists()

    /** Runs a prediction under the mark; an exception is no crash, and takes the mark away too. */
    fun <T> during(predict: () -> T): T {
        file.createNewFile()
        return try {
            predict()
        } finally {
            remove()
        }
    }

    fun remove() {
        file.delete()
    }
}
