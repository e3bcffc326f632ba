package mlc.sample

import android.os.Handler
import android.os.HandlerThread
import android.os.Looper
import java.util.concurrent.Executors
import mlc.sample.model.LoadedModel
import mlc.sample.model.ModelStore
import mlc.updates.Outcome

/**
 * The model of the app, on a thread of its own: an interpreter is for one thread at a time.
 *
 * State: the open model, opened when it is first needed and again after an update.
 */
class ModelThread(private val store: ModelStore) {
    private val thread = HandlerThread("model").apply { start() }
    private val main = Handler(Looper.getMainLooper())
    private val network = Executors.newSingleThreadExecutor()
    private var open: LoadedModel? = null

    /** Runs what is posted there one after the other; [now] may be called on it. */
    val handler = Handler(thread.looper)

    /** Gives the model to [work], and what comes of it to [answer] on the main thread. */
    fun <T> ask(work: (LoadedModel) -> T, answer: (Result<T>) -> Unit) {
        handler.post {
            val result = runCatching { work(now()) }
            main.post { answer(result) }
        }
    }

    /** The open model; only on the thread of [handler]. Throws where it cannot be run. */
    fun now(): LoadedModel = open ?: store.open().also { open = it }

    /** Asks the channel, and goes on with the new model if there is one; null where there is no channel. */
    fun update(conditions: Set<String>, answer: (Outcome?) -> Unit) {
        network.execute {
            val outcome = store.update(conditions)
            if (outcome is Outcome.Updated) handler.post(::reopen)
            main.post { answer(outcome) }
        }
    }

    private fun reopen() {
        open?.close()
        open = null
    }
}
